/**
 * On Windows an addon that imports Node-API from "node.exe" loads in no host of another name, such as Electron or a single
 * executable. This shim asks the running program instead, when the addon is loaded.
 */

import fs from 'node:fs';
import path from 'node:path';
import {fromRoot, root} from './paths.mjs';
import {nodeApiSymbols} from './toolchain.mjs';

/** @returns {Promise<string[]>} What to link beside the addon's sources. */
export async function windowsImports() {
	if (fs.existsSync(fromRoot('native', 'node_api_imports_win.cc'))) {
		// It is among the sources by its name.
		return [];
	}

	const file = fromRoot('.cache', 'cross', 'node_api_imports.cc');
	fs.mkdirSync(path.dirname(file), {recursive: true});
	fs.writeFileSync(file, importShim([...await nodeApiSymbols()].toSorted()));
	return [path.relative(root, file)];
}

/** @param {string[]} names The functions of Node-API. @returns {string} The shim's source, in C. */
export function importShim(names) {
	return `#include <windows.h>

extern "C" {
${names.map(name => `FARPROC __imp_${name};`).join('\n')}
}

__attribute__((constructor)) static void FillImports() {
  const HMODULE host = GetModuleHandleW(nullptr);
${names.map(name => `  __imp_${name} = GetProcAddress(host, "${name}");`).join('\n')}
}
`;
}
