/** Builds the addon for one target, whatever machine this is. */

import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {linkMacho} from './link-macho.mjs';
import {compilerFlags, linkerFlags} from './native-flags.mjs';
import {fromRoot} from '../../lib/paths.mjs';
import {run} from '../../lib/run.mjs';
import {StepFailure} from '../../lib/steps.mjs';
import {prebuildOf} from '../targets.mjs';
import {explainZig, zig} from '../toolchain.mjs';
import {windowsImports} from './windows-imports.mjs';

/** Linked into every binary that brings libc++ along. */
const noDemangler = 'scripts/release/no_demangler.cc';

/**
 * Compiles and links; what zig made before it takes from its cache in the home folder.
 *
 * @param {import('../targets.mjs').Target} target
 * @returns {Promise<string>} What was made.
 * @throws {StepFailure} with the compiler's output.
 */
export async function buildTarget(target) {
	const file = prebuildOf(target);
	const sources = [...sourcesOf(target), noDemangler];
	// Under its final name, because signatures and export tables hold that. A build that is interrupted leaves the last binary in its place.
	const folder = path.join('.cache', 'cross', target.name);
	const unfinished = path.join(folder, 'azure-shared-token-cache.node');
	fs.rmSync(fromRoot(folder), {recursive: true, force: true});
	fs.mkdirSync(fromRoot(folder), {recursive: true});
	if (target.system === 'mac') {
		await linkMacho(target, sources, unfinished);
	} else {
		const more = target.system === 'win' ? await windowsImports() : [];
		await runZig(['c++', ...compilerFlags(target), ...linkerFlags(target), ...sources, ...more, '-o', unfinished]);
	}

	fs.chmodSync(fromRoot(unfinished), 0o644);
	fs.mkdirSync(path.dirname(file), {recursive: true});
	fs.renameSync(fromRoot(unfinished), file);
	return `${Math.round(fs.statSync(file).size / 1000)} KB`;
}

/** The store that each system's addon is for. */
const storeOf = {linux: 'libsecret', mac: 'keychain', win: 'dpapi'};

/** @throws {StepFailure} where a system's part of the addon is not there. */
function sourcesOf({system, name}) {
	const sources = execFileSync(process.execPath, [fromRoot('scripts', 'build', 'native-sources.js'), system], {encoding: 'utf8'}).trim().split('\n');
	const store = `native/stores/${storeOf[system]}_${system}.cc`;
	if (!sources.includes(store)) {
		throw new StepFailure(`${store} is missing: the sources for ${name} are not complete`);
	}

	return sources;
}

/** @throws {StepFailure} with its output if zig fails. */
async function runZig(args) {
	const {code, output} = await run(zig, args);
	if (code !== 0) {
		throw new StepFailure(`zig ended with ${code}`, explainZig(output));
	}
}
