/** Checks what the C++ files of `native/` include, so that its folders stay layers. */

import fs from 'node:fs';
import path from 'node:path';
import {filesBelow} from '../build/stamps.mjs';
import {StepFailure} from '../lib/steps.mjs';

/** The folders of `native/`, from top to bottom. A file includes its own folder and the folders below it, never those above. */
const layers = ['addon', 'stores', 'cache', 'json', 'io', 'base'];

/** Headers that one folder alone includes. */
const ownerOf = {'napi.h': 'addon', 'node_api.h': 'addon'};

/** @typedef {{line: number, name: string, isQuoted: boolean}} Include */

/**
 * @param {string} folder The folder that holds the layers: `native/`.
 * @throws {StepFailure} with one line per finding: an upward include, a circle, an include that is not a path from `folder` to a
 * file there, a header of `ownerOf` outside its folder.
 */
export function checkIncludes(folder) {
	const sources = filesBelow(folder).filter(file => /\.(?:cc|h)$/.test(file));
	/** @type {Map<string, Include[]>} */
	const files = new Map(sources.map(file => [path.relative(folder, file).replaceAll(path.sep, '/'), includesOf(file)]));
	const findings = [...files].flatMap(([file, includes]) => includes.flatMap(include => {
		const finding = findingOf(file, include, files);
		return finding ? [`${file}:${include.line}: ${finding}`] : [];
	}));
	findings.push(...circlesOf(files).map(circle => `${circle[0]}: circular include: ${circle.join(' -> ')}`));
	if (findings.length > 0 || files.size === 0) {
		throw new StepFailure(files.size === 0 ? `${folder} holds no C++ files` : `${findings.length} finding(s)`, findings.join('\n'));
	}
}

/** @returns {Include[]} */
function includesOf(file) {
	return fs.readFileSync(file, 'utf8').split('\n').flatMap((text, index) => {
		const [, mark, name] = /^\s*#\s*include\s*(["<])([^">]+)/.exec(text) ?? [];
		return name ? [{line: index + 1, name, isQuoted: mark === '"'}] : [];
	});
}

/** @returns {string | undefined} */
function findingOf(file, {name, isQuoted}, files) {
	const layer = file.split('/')[0];
	if (ownerOf[name] && ownerOf[name] !== layer) {
		return `only ${ownerOf[name]}/ includes <${name}>`;
	}

	if (!layers.includes(layer)) {
		return `${layer} is not one of the layers in scripts/quality/include-rules.mjs`;
	}

	if (isQuoted && !files.has(name)) {
		return `"${name}" is not the path of a file from native/`;
	}

	return isQuoted && layers.indexOf(name.split('/')[0]) < layers.indexOf(layer) ? `upward include: ${layer}/ is below "${name}"` : undefined;
}

/** @returns {string[][]} Each circle as a path that ends where it begins. */
function circlesOf(files) {
	const circles = [];
	const done = new Set();
	const visit = (file, trail) => {
		if (trail.includes(file)) {
			circles.push([...trail.slice(trail.indexOf(file)), file]);
		} else if (!done.has(file)) {
			for (const {name} of files.get(file)?.filter(({isQuoted}) => isQuoted) ?? []) {
				visit(name, [...trail, file]);
			}

			done.add(file);
		}
	};

	for (const file of files.keys()) {
		visit(file, []);
	}

	return circles;
}
