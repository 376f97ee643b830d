// P3 --explain: loaded before a program by `node --require`. When the program ends, prints as JSON the load time of
// each file and built-in module, with and without the modules that it loads.

'use strict';

const Module = require('node:module');

const loaded = [];
/** Milliseconds that the modules being loaded have spent in other modules. */
const inOthers = [0];

function timed(name, load) {
	const startMs = performance.now();
	inOthers.push(0);
	try {
		return load();
	} finally {
		const totalMs = performance.now() - startMs;
		const ownMs = totalMs - inOthers.pop();
		inOthers[inOthers.length - 1] += totalMs;
		loaded.push({name, ownMs, totalMs});
	}
}

const {_load: load} = Module;
const {dlopen} = process;
const seen = new Set();

Module._load = function (request, parent, isMain) {
	const name = Module.isBuiltin(request) ? request.replace(/^(?:node:)?/, 'node:') : Module._resolveFilename(request, parent, isMain);
	// A module that is already loaded is only looked up.
	if (seen.has(name) || isMain) {
		return load.call(this, request, parent, isMain);
	}

	seen.add(name);
	return timed(name, () => load.call(this, request, parent, isMain));
};

process.dlopen = function (module, path, ...others) {
	return timed(path, () => dlopen.call(process, module, path, ...others));
};

process.on('exit', () => {
	console.log(JSON.stringify(loaded));
});
