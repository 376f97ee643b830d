// `npm run prebuild`: the addon for every platform, built on one Linux machine, into prebuilds/. `-- --target linux-x64-glibc`, any
// number of times, builds those targets alone. The first build of a target takes a minute or two, because its C++ library is
// compiled, too; zig keeps that in the home folder.

import os from 'node:os';
import process from 'node:process';
import {buildTarget} from './release/offline/cross-build.mjs';
import {step} from './lib/steps.mjs';
import {targetsOfCommandLine} from './release/targets.mjs';
import {installMachoLinker, installToolchain} from './release/toolchain.mjs';

const targets = targetsOfCommandLine('target');

// Whoever works at this machine comes first.
os.setPriority(os.constants.priority.PRIORITY_BELOW_NORMAL);

const results = [await step('toolchain', installToolchain)];
if (results[0].outcome === 'passed') {
	if (targets.some(({system}) => system === 'mac')) {
		results.push(await step('linker for macOS', installMachoLinker));
	}

	// One after the other: zig itself uses every core.
	for (const target of targets) {
		results.push(await step(target.name, () => buildTarget(target)));
	}
}

process.exitCode = results.every(({outcome}) => outcome === 'passed') ? 0 : 1;
