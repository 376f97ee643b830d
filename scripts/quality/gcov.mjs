/** What of `native/` ran, as gcov tells: lines, and branches of the source alone, not those that the compiler makes for exceptions. */

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import zlib from 'node:zlib';
import {runOrFail} from '../lib/run.mjs';

/** @typedef {{lines: Map<number, number>, branches: Map<number, boolean[]>}} FileCoverage */

/**
 * @param {string} tree Where the addon was compiled with `--coverage` and its tests ran.
 * @returns {Promise<Map<string, FileCoverage>>} By path below the top folder.
 */
export async function readGcov(tree) {
	const objects = path.join(tree, 'build', 'Release', 'obj.target');
	const counters = fs.readdirSync(objects, {recursive: true}).filter(name => name.endsWith('.gcda')).map(name => path.join(objects, name));
	const out = path.join(tree, '.cache', 'gcov');
	fs.rmSync(out, {recursive: true, force: true});
	fs.mkdirSync(out, {recursive: true});
	/** @type {Map<string, FileCoverage>} */
	const files = new Map();
	for (const counter of counters) {
		// One at a time: sources of one name in two folders would write the same file.
		await runOrFail(process.env.GCOV ?? 'gcov', ['--json-format', '--branch-probabilities', counter], {cwd: out});
		for (const name of fs.readdirSync(out)) {
			const report = JSON.parse(zlib.gunzipSync(fs.readFileSync(path.join(out, name))).toString());
			for (const file of report.files) {
				add(files, path.resolve(report.current_working_directory, file.file), file, tree);
			}

			fs.rmSync(path.join(out, name));
		}
	}

	return files;
}

function add(files, absolute, {lines}, tree) {
	const name = path.relative(tree, absolute);
	if (!name.startsWith(`native${path.sep}`)) {
		return;
	}

	const {lines: known, branches: knownBranches} = files.get(name) ?? {lines: new Map(), branches: new Map()};
	files.set(name, {lines: known, branches: knownBranches});
	for (const {line_number: number, count, branches} of lines) {
		known.set(number, (known.get(number) ?? 0) + count);
		// A header is in several objects: what one of them took is taken.
		const taken = branches.filter(branch => !branch.throw).map(branch => branch.count > 0);
		const before = knownBranches.get(number) ?? [];
		knownBranches.set(number, taken.map((isTaken, index) => isTaken || Boolean(before[index])));
	}
}
