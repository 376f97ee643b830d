/**
 * Stamps tell whether a step has to run again. A stamp is a hash over everything that the step's result depends on, kept in
 * `.cache/` from the last time that it succeeded.
 */

import {createHash} from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {fromRoot} from '../lib/paths.mjs';

const stampFile = name => fromRoot('.cache', 'stamps', name);

/** Whether the step last succeeded with this hash. */
export function isStamped(name, hash) {
	try {
		return fs.readFileSync(stampFile(name), 'utf8') === hash;
	} catch {
		// Never ran, or an unreadable stamp: the step runs.
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
 * @param {string[]} paths Files and folders below the top folder; what is missing counts as empty.
 * @param {unknown[]} [facts] Other things that matter, such as a compiler's name.
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

/** Source files at or below a path, sorted, without what tools and installations put there. */
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
