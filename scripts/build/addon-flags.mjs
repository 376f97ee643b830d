/** What `binding.gyp` says about compiling the addon, for programs that are compiled without gyp. */

import fs from 'node:fs';
import {fromRoot} from '../lib/paths.mjs';

const [addon] = JSON.parse(fs.readFileSync(fromRoot('binding.gyp'), 'utf8').replaceAll(/^\s*#.*$/gm, '')).targets;

const settingsOf = system => addon.conditions.find(([condition]) => condition === `OS=='${system}'`)[1];

/** Of GCC and Clang, on every system. @type {string[]} */
export const compilerFlags = addon.variables.compiler_flags;

/** Of GCC and Clang on Linux, beside {@link compilerFlags}. @type {string[]} */
export const linuxCompilerFlags = addon.variables.linux_compiler_flags;

/** `-D` flags of every system. @type {string[]} */
export const defineFlags = addon.defines.map(name => `-D${name}`);

/** System libraries that the addon links on Windows, as `-l` flags. @type {string[]} */
export const windowsLibraries = settingsOf('win').libraries;

/** The oldest macOS that the addon runs on, such as `11.0`. @type {string} */
export const oldestMacos = settingsOf('mac').xcode_settings.MACOSX_DEPLOYMENT_TARGET;

/** The version of Node-API that the addon asks for. */
export const nodeApiVersion = Number(addon.defines.find(name => name.startsWith('NAPI_VERSION=')).split('=')[1]);
