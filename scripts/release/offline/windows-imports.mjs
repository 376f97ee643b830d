/**
 * On Windows an addon that imports Node-API from "node.exe" loads in no host of another name, such as Electron or a single
 * executable. This shim asks when the addon is loaded: Node's library, where Node was built as one, and else the running program, as
 * node-gyp's win_delay_load_hook.cc does. Where a function is in neither, the addon does not load, and Node says so.
 */

import fs from 'node:fs';
import path from 'node:path';
import {fromRoot, root} from '../../lib/paths.mjs';
import {nodeApiSymbols} from '../toolchain.mjs';

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

static FARPROC Find(const char* name) {
  const HMODULE library = GetModuleHandleW(L"libnode.dll");
  const FARPROC found = library == nullptr ? nullptr : GetProcAddress(library, name);
  return found != nullptr ? found : GetProcAddress(GetModuleHandleW(nullptr), name);
}

extern "C" BOOL WINAPI DllMain(HINSTANCE, DWORD reason, void*) {
  if (reason != DLL_PROCESS_ATTACH) return TRUE;
${names.map(name => `  if ((__imp_${name} = Find("${name}")) == nullptr) return FALSE;`).join('\n')}
  return TRUE;
}
`;
}
