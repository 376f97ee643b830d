// Puts this machine's binary of prebuilds/ where a compiled one would be, and builds dist/: tests then run with what is released.

import fs from 'node:fs';
import process from 'node:process';
import {buildDist} from './build/build.mjs';
import {fromRoot} from './lib/paths.mjs';
import {step} from './lib/steps.mjs';
import {prebuildOf, targets} from './release/targets.mjs';

const libc = process.platform === 'linux' ? (process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl') : undefined;
const {outcome} = await step('prebuilt addon', async () => {
	const target = targets.find(each => each.platform === process.platform && each.arch === process.arch && each.libc === libc);
	const file = prebuildOf(target);
	fs.mkdirSync(fromRoot('build', 'Release'), {recursive: true});
	fs.copyFileSync(file, fromRoot('build', 'Release', 'azure_shared_token_cache.node'));
	return target.name;
});
const dist = await step('dist', buildDist);
process.exitCode = outcome === 'passed' && dist.outcome === 'passed' ? 0 : 1;
