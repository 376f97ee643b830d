/** Builds the addon for one target with the tool that this machine has for it. */

import fs from 'node:fs';
import process from 'node:process';
import {crossBuild} from './offline/cross-build.mjs';
import {buildWithPrebuildify} from './prebuildify.mjs';
import {prebuildOf, targets} from './targets.mjs';

const canCrossCompile = process.platform === 'linux' && process.arch === 'x64';

/** The targets that this machine can build: all on linux-x64, elsewhere its own. */
export const buildableTargets = targets.filter(({platform, arch}) => canCrossCompile || (platform === process.platform && arch === process.arch && platform !== 'linux'));

/**
 * @param {import('./targets.mjs').Target} target One of {@link buildableTargets}.
 * @param {(text: string) => void} [report] Gets what happens now.
 * @returns {Promise<string>} The tool and the binary's size.
 * @throws {StepFailure} with the compiler's output.
 */
export async function buildTarget(target, report = () => undefined) {
	const isPrebuildify = target.platform === process.platform;
	await (isPrebuildify ? buildWithPrebuildify(target, report) : crossBuild(target, report));
	const size = Math.round(fs.statSync(prebuildOf(target)).size / 1000);
	return `${isPrebuildify ? 'prebuildify' : 'zig alone, to examine and test; the release builds it on its own system'}, ${size} KB`;
}
