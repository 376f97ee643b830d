/**
 * Stamps show whether a step has to run again. A stamp is a hash of everything that the step's result depends on. `.cache/` contains
 * the stamp of each step's last success.
 */

import {createHash} from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {fromRoot} from '../lib/paths.mjs';

const stampFile = name => fromRoot('.cache', 'stamps', name);

/** Whether the step's last success had this hash. */
export function isStamped(name, hash) {
	try {
		return fs.readFileSync(stampFile(name), 'utf8') === hash;
	} catch {
		// Without a readable stamp the step runs.
		return false;
	}
}

export function writeStamp(name, hash) {
	fs.mkdirSync(path.dirname(stampFile(name)), {recursive: true});
	fs.writeFileSync(stampFile(name), hash);
}

export function removeStamp(name) {
	fs.rmSync(stampFile(name), {force: true});
}

/**
 * @param {string[]} paths Files and folders below `base`. A missing one counts as empty.
 * @param {unknown[]} [facts] Other inputs of the step, such as a compiler's name.
 * @param {string} [base] Default: the top folder.
 */
export function hashOf(paths, facts = [], base = fromRoot()) {
	const hash = createHash('sha256');
	hash.update(JSON.stringify([...facts, process.version, process.platform, process.arch]));
	for (const file of paths.flatMap(each => filesBelow(path.join(base, each)))) {
		const bytes = fs.readFileSync(file);
		hash.update(`\0${path.relative(base, file)}\0${bytes.length}\0`);
		hash.update(bytes);
	}

	return hash.digest('hex');
}

/** The source files at or below a path, sorted. Files that tools and installations create are left out. */
export function filesBelow(file) {
	const stats = fs.statSync(file, {throwIfNoEntry: false});
	if (!stats) {
		return [];
	}

	if (!stats.isDirectory()) {
		return [file];
	}

	return fs.readdirSync(file)
		.filter(name => !notSources.has(name))
		.toSorted()
		.flatMap(name => filesBelow(path.join(file, name)));
}

const notSources = new Set(['node_modules', '.cache', '.git', 'coverage']);
