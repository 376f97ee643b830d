// `npm run prebuild`: builds the addon for release into prebuilds/. On linux-x64 it builds every target, on macOS and Windows the
// machine's own. `-- --target linux-x64-glibc`, any number of times, builds those targets alone. The first build of a target on Linux takes
// some minutes, because zig compiles its C++ library as well; zig keeps that in the home folder.

import os from 'node:os';
import process from 'node:process';
import {installPackages} from './lib/npm.mjs';
import {step} from './lib/steps.mjs';
import {buildableTargets, buildTarget} from './release/build-target.mjs';
import {targetsOfCommandLine} from './release/targets.mjs';
import {checkZig, installMachoLinker, installToolchain} from './release/toolchain.mjs';

const targets = targetsOfCommandLine('target', buildableTargets);

// Other programs on this machine come first.
os.setPriority(os.constants.priority.PRIORITY_BELOW_NORMAL);

const steps = [['npm packages', async () => installPackages()]];
if (process.platform === 'linux') {
	steps.push(['toolchain', async () => {
		const done = await installToolchain();
		checkZig();
		return done;
	}]);
	if (targets.some(({system}) => system === 'mac')) {
		steps.push(['linker for macOS', installMachoLinker]);
	}
}

// One target at a time, because each build uses every core.
steps.push(...targets.map(target => [target.name, report => buildTarget(target, report)]));
for (const [index, [name, action]] of steps.entries()) {
	const {outcome} = await step(name, action, {isLong: true});
	if (outcome !== 'passed') {
		const left = steps.slice(index + 1).map(([each]) => each);
		console.log(`\nStopped${left.length > 0 ? `, without ${left.join(', ')}` : ''}.`);
		process.exitCode = 1;
		break;
	}
}
