/** Says why there is no addon, and what to do. Loaded when there is none. */

import {lstatSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {type ErrorDetail, StoreError} from '../errors.js';

export type AddonLack = {
	/** The machine, and whether the package has a binary for it. */
	target: string;
	hasBinary: boolean;
	/** The loader is in a bundle, or else in an installed package or a clone. */
	isBundle: boolean;
	isClone: boolean;
	/** Node was told not to load addons. */
	isDisabled: boolean;
	/** Files that are there and cannot be used, places that are not looked at, and places where nothing is. */
	unusable: readonly ErrorDetail[];
	refusals: readonly ErrorDetail[];
	missing: readonly ErrorDetail[];
};

/** So that the cure fits into the message, too. */
const maxReasonLength = 180;

const cureOfDisabled = 'Start Node without --no-addons, and with --allow-addons if it has --permission.';

export function addonMissing(lack: AddonLack): StoreError {
	const {target, isDisabled, unusable, refusals, missing} = lack;
	// What is there and cannot be used says more than what is missing.
	const details = [...unusable, ...refusals, ...missing];
	const [worst] = details;
	const reason = worst === undefined || missing.includes(worst) ? ' was found' : `: ${worst.place} ${worst.text}`.slice(0, maxReasonLength);
	return new StoreError('STC_ADDON_MISSING', `No native addon for ${target}${reason}. ${isDisabled ? cureOfDisabled : advice(lack)}`, {op: 'load', details});
}

/** The one thing to do. */
function advice({hasBinary, isBundle, isClone}: AddonLack): string {
	if (isClone) {
		return 'Run npm run build.';
	}

	if (!hasBinary) {
		return 'The package has no binary for this platform: only plaintext caches can be read.';
	}

	return isBundle ? 'Leave this package out of the bundle, or copy its folder prebuilds beside the bundle.' : 'Reinstall the package.';
}

/**
 * Why `prebuilds` in a bundle's folder is not trusted: in a folder like `/tmp`, nobody can replace the bundle of another user, but anybody can
 * put `prebuilds` beside it.
 *
 * @param file The bundle.
 */
export function strangerIn(folder: string, file: string): ErrorDetail | undefined {
	try {
		// Source: inode(7), S_ISVTX and S_IWOTH. Windows has neither.
		if ((statSync(folder).mode & 0o1002) !== 0o1002) {
			return undefined;
		}

		const prebuilds = join(folder, 'prebuilds');
		const {uid} = lstatSync(prebuilds);
		return uid === 0 || uid === process.geteuid?.() || uid === statSync(file).uid
			? undefined
			: {place: prebuilds, text: 'belongs to another user, and anybody can write to the folder above'};
	} catch {
		// What is missing is reported when it is opened.
		return undefined;
	}
}
