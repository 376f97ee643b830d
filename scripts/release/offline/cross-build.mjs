/** Builds the addon for macOS and Windows on Linux, so that these binaries can be examined here, and run under Wine. */

import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {fromRoot} from '../../lib/paths.mjs';
import {prebuildOf} from '../targets.mjs';
import {runZig} from '../toolchain.mjs';
import {compilerFlags, linkerFlags} from './flags.mjs';
import {linkMacho} from './link-macho.mjs';
import {windowsImports} from './windows-imports.mjs';

/**
 * @param {import('../targets.mjs').Target} target
 * @param {(text: string) => void} report Gets what happens now.
 * @throws {StepFailure} with the compiler's output.
 */
export async function crossBuild(target, report) {
	// The name is the final one, because signatures and export tables hold it. The folder is another, so that an interrupted build leaves the
	// last binary in place.
	const folder = path.join('.cache', 'cross', target.name);
	const unfinished = path.join(folder, 'azure-shared-token-cache.node');
	fs.rmSync(fromRoot(folder), {recursive: true, force: true});
	fs.mkdirSync(fromRoot(folder), {recursive: true});
	const sources = [
		...execFileSync(process.execPath, [fromRoot('scripts', 'build', 'native-sources.js'), target.system], {encoding: 'utf8'}).trim().split('\n'),
		path.join('scripts', 'release', 'no_demangler.cc'),
	];
	report(`zig compiles ${sources.length} sources`);
	await (target.system === 'mac'
		? linkMacho(target, sources, unfinished)
		: runZig(['c++', ...compilerFlags(target), ...linkerFlags(target), ...sources, ...await windowsImports(), '-o', unfinished]));
	fs.chmodSync(fromRoot(unfinished), 0o644);
	fs.mkdirSync(path.dirname(prebuildOf(target)), {recursive: true});
	fs.renameSync(fromRoot(unfinished), prebuildOf(target));
}
