/**
 * The imports of Node-API for Windows binaries that are built on Linux. A DLL that imports from "node.exe" loads in no program of another
 * name, such as Electron. This source looks the functions up when the addon is loaded: in Node's library if there is one, else in the
 * running program, as node-gyp's win_delay_load_hook.cc does. If a function is missing, the addon does not load and Node reports that.
 */

import fs from 'node:fs';
import path from 'node:path';
import {fromRoot, root} from '../../lib/paths.mjs';
import {nodeApiSymbols} from '../toolchain.mjs';

/** @returns {Promise<string[]>} Sources to compile beside the addon's. */
export async function windowsImports() {
	const file = fromRoot('.cache', 'cross', 'node_api_imports.cc');
	fs.mkdirSync(path.dirname(file), {recursive: true});
	fs.writeFileSync(file, importShim([...await nodeApiSymbols()].toSorted()));
	return [path.relative(root, file)];
}

/** @param {string[]} names The functions of Node-API. @returns {string} The source. */
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
