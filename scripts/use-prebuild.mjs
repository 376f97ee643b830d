// Copies this machine's binary from prebuilds/ to build/Release/ and builds dist/, so that the tests run with the released binary.

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
