// `npm run prebuild:check`: checks that prebuilds/ is fit for release. Every target has a binary that keeps prebuild-rules.mjs. Writes their
// SHA-256 sums to prebuilds/SHA256SUMS, which the package contains. `-- --only linux-x64-glibc`, any number of times, checks those targets
// alone and writes no sums.

import {createHash} from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import process from 'node:process';
import {fromRoot, root} from './lib/paths.mjs';
import {examine} from './release/prebuild-rules.mjs';
import {prebuildOf, targets as allTargets, targetsOfCommandLine} from './release/targets.mjs';
import {installReaders, nodeApiSymbols} from './release/toolchain.mjs';

const targets = targetsOfCommandLine('only');
await installReaders();
const context = {nodeApi: await nodeApiSymbols(), privatePaths: [root, os.homedir(), 'node_modules']};

const rows = targets.map(target => {
	const bytes = fs.existsSync(prebuildOf(target)) ? fs.readFileSync(prebuildOf(target)) : undefined;
	return {
		target,
		size: bytes?.length ?? 0,
		sum: bytes ? createHash('sha256').update(bytes).digest('hex') : '',
		...(bytes ? examine(target, bytes, context) : {findings: ['it is missing'], notes: [], asksFor: ''}),
	};
});
const strays = strayFiles();

for (const {target, size, sum, asksFor, findings, notes} of rows) {
	console.log(`${target.name.padEnd(18)} ${String(size).padStart(7)} bytes  ${asksFor.padEnd(10)}  ${sum}`);
	for (const note of notes) {
		console.log(`    ${note}`);
	}

	for (const finding of findings) {
		console.log(`    refused: ${finding}`);
	}
}

for (const file of strays) {
	console.log(`prebuilds/${file}: of no target`);
}

const failed = rows.filter(({findings}) => findings.length > 0).length + strays.length;
const totalBytes = rows.reduce((total, {size}) => total + size, 0);
console.log(`\n${rows.length} targets, ${totalBytes} bytes, ${failed === 0 ? 'nothing to object to' : `${failed} refused`}`);
process.exitCode = failed === 0 ? 0 : 1;

const sumsFile = fromRoot('prebuilds', 'SHA256SUMS');
if (failed > 0) {
	// Sums of an earlier set would belong to other binaries.
	fs.rmSync(sumsFile, {force: true});
} else if (targets.length === allTargets.length) {
	// In the format of `sha256sum --check`.
	fs.writeFileSync(sumsFile, rows.map(({target, sum}) => `${sum}  ${target.file}\n`).join(''));
}

function strayFiles() {
	const known = new Set([...allTargets.map(({file}) => file), 'README.md', 'SHA256SUMS']);
	return fs.readdirSync(fromRoot('prebuilds'), {recursive: true, withFileTypes: true})
		.filter(entry => entry.isFile())
		.map(entry => `${entry.parentPath}/${entry.name}`.slice(fromRoot('prebuilds').length + 1))
		.filter(file => !known.has(file));
}
