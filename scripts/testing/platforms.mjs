/**
 * The runtimes that the released binaries are tested under: every supported Node on this machine, and stand-ins for other machines by
 * emulation or with another C library.
 */

import fs from 'node:fs';
import path from 'node:path';
import {readElf} from '../release/elf.mjs';
import {installPackages} from '../lib/npm.mjs';
import {fromRoot} from '../lib/paths.mjs';
import {runOrFail} from '../lib/run.mjs';
import {unpackForeign} from './foreign-debian.mjs';

const packages = fromRoot('test', 'platforms');
const roots = fromRoot('.cache', 'platforms', 'roots');
const binaryOf = (name, command) => path.join(packages, 'node_modules', name, 'bin', command);

/**
 * @typedef {object} Platform
 * @property {string} name
 * @property {string} target The binary to test.
 * @property {string} command The runtime. Its arguments are a file and the file's arguments.
 * @property {boolean} isNative AVA itself runs there, with both suites complete.
 * @property {() => Promise<void>} prepare
 */

const lines = ['20', '22', '24', '26'];

/** @type {Platform[]} */
export const platforms = [
	...lines.map(line => ({
		name: `node-${line}`,
		target: 'linux-x64-glibc',
		command: binaryOf(`node-x64-${line}`, 'node'),
		isNative: true,
		prepare: async () => undefined,
	})),
	standIn('glibc-2.31', 'linux-x64-glibc', prepareOldGlibc),
	standIn('linux-arm64', 'linux-arm64-glibc', prepareArm64),
	standIn('musl-x64', 'linux-x64-musl', prepareMuslX64),
	standIn('musl-arm64', 'linux-arm64-musl', prepareMuslArm64),
];

/** Debian packages of the emulator, of the other CPU's libraries and of musl, with a file that shows their presence. */
export const debianPackages = {
	'qemu-user-static': '/usr/bin/qemu-aarch64-static',
	'libc6-arm64-cross': '/usr/aarch64-linux-gnu/lib/libc.so.6',
	'libstdc++6-arm64-cross': '/usr/aarch64-linux-gnu/lib/libstdc++.so.6',
	'libatomic1-arm64-cross': '/usr/aarch64-linux-gnu/lib/libatomic.so.1',
	'libstdc++-12-dev-arm64-cross': '/usr/lib/gcc-cross/aarch64-linux-gnu/12/libstdc++.a',
	'libstdc++-12-dev': '/usr/lib/gcc/x86_64-linux-gnu/12/libstdc++.a',
	musl: '/lib/ld-musl-x86_64.so.1',
	'lld-19': '/usr/bin/ld.lld-19',
};

/** @returns {Promise<string>} What was done. */
export async function installRuntimes() {
	// `--force`: most of them are for another CPU or C library.
	return installPackages(packages, ['--force']);
}

function standIn(name, target, prepare) {
	const command = path.join(roots, `${name}.sh`);
	return {
		name, target, command, isNative: false, prepare: () => prepare(command, path.join(roots, name)),
	};
}

/** Writes a script that starts the runtime. Tests take it for the path of Node. */
function writeScript(file, words) {
	fs.mkdirSync(path.dirname(file), {recursive: true});
	fs.writeFileSync(file, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`, {mode: 0o755});
}

/** Node 22, which needs glibc 2.28, with the C library of Debian 11. */
async function prepareOldGlibc(command, folder) {
	const libraries = path.join(folder, 'lib', 'x86_64-linux-gnu');
	const loader = path.join(libraries, 'ld-2.31.so');
	if (!fs.existsSync(loader)) {
		await unpackForeign({
			suite: 'bullseye', arch: 'amd64', packages: ['libc6', 'libstdc++6', 'libgcc-s1', 'libatomic1'], folder,
		});
	}

	writeScript(command, [loader, '--library-path', `${libraries}:${path.join(folder, 'usr', 'lib', 'x86_64-linux-gnu')}`, binaryOf('node-x64-22', 'node')]);
}

async function prepareArm64(command) {
	writeScript(command, ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu', binaryOf('node-arm64', 'node')]);
}

async function prepareMuslX64(command, folder) {
	const bun = binaryOf('bun-musl-x64', 'bun');
	await linkMuslLibrary({
		folder, bun, gcc: '/usr/lib/gcc/x86_64-linux-gnu/12', libc: '/lib/ld-musl-x86_64.so.1', triple: 'x86_64-linux-musl',
	});
	writeScript(command, ['env', `LD_LIBRARY_PATH=${folder}`, bun]);
}

async function prepareMuslArm64(command, folder) {
	const loader = path.join(folder, 'root', 'lib', 'ld-musl-aarch64.so.1');
	if (!fs.existsSync(loader)) {
		await unpackForeign({
			suite: 'bookworm', arch: 'arm64', packages: ['musl'], folder: path.join(folder, 'root'),
		});
		// The package has an absolute link here, which leads to this machine's file.
		fs.rmSync(loader);
		fs.copyFileSync(path.join(folder, 'root', 'lib', 'aarch64-linux-musl', 'libc.so'), loader);
	}

	const bun = binaryOf('bun-musl-arm64', 'bun');
	await linkMuslLibrary({
		folder, bun, gcc: '/usr/lib/gcc-cross/aarch64-linux-gnu/12', libc: loader, triple: 'aarch64-linux-musl',
	});
	writeScript(command, ['qemu-aarch64-static', '-L', path.join(folder, 'root'), '-E', `LD_LIBRARY_PATH=${folder}`, bun]);
}

/** Bun for musl needs a libstdc++ for musl, which Debian lacks. This links one from Debian's static library, with the symbols that Bun uses. */
async function linkMuslLibrary({folder, bun, gcc, libc, triple}) {
	const {zig} = await import('../release/toolchain.mjs');
	fs.mkdirSync(folder, {recursive: true});
	const shim = path.join(folder, 'shim.o');
	await runOrFail(zig, ['cc', '-target', triple, '-O2', '-fPIC', '-c', 'test/platforms/musl_shim.c', '-o', shim]);
	const {imports, exports} = readElf(fs.readFileSync(bun));
	const wanted = [
		...imports.map(({name}) => name).filter(name => /^(?:_Z|__(?:cxa_(?!finalize|atexit|thread_atexit)|dynamic_cast))/.test(name)),
		// A program exports its copies of a library's data.
		...exports.filter(name => /^_ZT[IV](?:N10__cxxabiv1|St)/.test(name)),
	];
	const library = path.join(folder, 'libstdc++.so.6');
	await runOrFail('ld.lld-19', [
		'-shared',
		'-z',
		'defs',
		'-soname',
		'libstdc++.so.6',
		'-o',
		library,
		...wanted.flatMap(name => ['--undefined', name]),
		shim,
		...['libstdc++.a', 'libgcc_eh.a', 'libgcc.a'].map(name => path.join(gcc, name)),
		libc,
	]);
}
