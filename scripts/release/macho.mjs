/**
 * Reads what macOS' loader reads of a bundle, and checks its signature as the kernel does. Source: Apple's open source
 * `mach-o/loader.h` (load commands, bind opcodes, export trie) and `cs_blobs.h` (code signatures).
 */

import {createHash} from 'node:crypto';
import {Bytes, checkCount, MalformedBinary} from './bytes.mjs';

/** @typedef {{name: string, library: string}} MachoBind `library`: a path, or `flat lookup`: whatever is loaded, such as the host. */

/**
 * @typedef {object} Macho
 * @property {string} arch As `process.arch`, or the CPU's number.
 * @property {boolean} isBundle
 * @property {string | undefined} oldestMacos Such as `11.0`.
 * @property {string[]} libraries
 * @property {boolean} hasSearchPath
 * @property {MachoBind[]} binds
 * @property {string[]} exports
 * @property {boolean} isStripped No local symbols.
 * @property {string | undefined} signatureFault What is wrong with the signature.
 */

const cpus = {0x01_00_00_07: 'x64', 0x01_00_00_0C: 'arm64'};
const command = {
	symbols: 0x2,
	loadLibrary: 0xC,
	segment: 0x19,
	signature: 0x1D,
	oldMinimum: 0x24,
	buildVersion: 0x32,
	loadWeakLibrary: 0x80_00_00_18,
	searchPath: 0x80_00_00_1C,
	reexportLibrary: 0x80_00_00_1F,
	dyldInfo: 0x22,
	dyldInfoOnly: 0x80_00_00_22,
	exportsTrie: 0x80_00_00_33,
	chainedFixups: 0x80_00_00_34,
};
const libraryCommands = new Set([command.loadLibrary, command.loadWeakLibrary, command.reexportLibrary]);

/** @param {Buffer} buffer @returns {Macho} @throws {MalformedBinary} */
export function readMacho(buffer) {
	const bytes = new Bytes(buffer);
	if (bytes.u32(0) !== 0xFE_ED_FA_CF) {
		throw new MalformedBinary('not a Mach-O file of 64 bits');
	}

	const commands = readCommands(bytes);
	const find = wanted => commands.find(({type}) => type === wanted)?.at;
	if (find(command.chainedFixups) !== undefined) {
		// The oldest macOS that the package is for would not read them, either.
		throw new MalformedBinary('chained fixups, which are for newer systems');
	}

	const libraries = commands.filter(({type}) => libraryCommands.has(type)).map(({at}) => bytes.text(at + bytes.u32(at + 8)));
	const info = find(command.dyldInfoOnly) ?? find(command.dyldInfo);
	const trie = find(command.exportsTrie);
	const version = find(command.buildVersion) ?? find(command.oldMinimum);
	const signature = find(command.signature);
	return {
		arch: cpus[bytes.u32(4)] ?? `CPU ${bytes.u32(4)}`,
		isBundle: bytes.u32(12) === 8,
		oldestMacos: version === undefined ? undefined : versionText(bytes.u32(version + (version === find(command.buildVersion) ? 12 : 8))),
		libraries,
		hasSearchPath: find(command.searchPath) !== undefined,
		binds: info === undefined
			? []
			: [
				...readBinds(bytes, {start: bytes.u32(info + 16), size: bytes.u32(info + 20), libraries}),
				...readBinds(bytes, {
					start: bytes.u32(info + 24), size: bytes.u32(info + 28), libraries, isWeak: true,
				}),
				...readBinds(bytes, {
					start: bytes.u32(info + 32), size: bytes.u32(info + 36), libraries, isLazy: true,
				}),
			],
		exports: readExports(bytes, trie === undefined ? {start: bytes.u32(info + 40), size: bytes.u32(info + 44)} : {start: bytes.u32(trie + 8), size: bytes.u32(trie + 12)}),
		isStripped: !hasLocalSymbols(bytes, find(command.symbols)),
		signatureFault: signature === undefined ? 'it is not signed' : signatureFault(bytes, bytes.u32(signature + 8)),
	};
}

function readCommands(bytes) {
	const commands = [];
	let at = 32;
	for (let left = checkCount(bytes.u32(16), 1000, 'load commands'); left > 0; left--) {
		commands.push({type: bytes.u32(at), at});
		at += bytes.u32(at + 4);
	}

	return commands;
}

const versionText = value => `${Math.floor(value / 65_536)}.${Math.floor(value / 256) % 256}`;

/** The opcodes are a small program; of what it does, only which symbol comes from where is of interest. */
function readBinds(bytes, {start, size, libraries, isWeak = false, isLazy = false}) {
	/** @type {Map<string, MachoBind>} */
	const binds = new Map();
	let library = isWeak ? 'weak lookup' : 'this file';
	let name = '';
	let at = start;
	const bind = () => {
		binds.set(`${library} ${name}`, {name, library});
	};

	const skipNumber = () => {
		at = bytes.uleb(at).next;
	};

	const opcodes = {
		// A lazy bind ends with this opcode, and the next one follows.
		0x00() {
			at = isLazy ? at : start + size;
		},
		0x10(immediate) {
			library = libraries[immediate - 1] ?? `library ${immediate}`;
		},
		0x20() {
			const {value, next} = bytes.uleb(at);
			at = next;
			library = libraries[value - 1] ?? `library ${value}`;
		},
		0x30(immediate) {
			library = {
				0: 'this file', 15: 'main executable', 14: 'flat lookup', 13: 'weak lookup',
			}[immediate] ?? `special ${immediate}`;
		},
		0x40() {
			name = bytes.text(at);
			at += name.length + 1;
		},
		0x50() {
			// The kind of bind: it needs no more than the opcode.
		},
		0x60: skipNumber,
		0x70: skipNumber,
		0x80: skipNumber,
		0x90: bind,
		0xA0() {
			skipNumber();
			bind();
		},
		0xB0: bind,
		0xC0() {
			skipNumber();
			skipNumber();
			bind();
		},
	};
	while (at < start + size) {
		const byte = bytes.u8(at++);
		const opcode = opcodes[byte - (byte % 16)];
		if (!opcode) {
			throw new MalformedBinary(`bind opcode ${byte}`);
		}

		opcode(byte % 16);
	}

	return [...binds.values()];
}

/** The tree's edges are parts of names. */
function readExports(bytes, {start, size}) {
	const names = [];
	const seen = new Set();
	const visit = (offset, prefix) => {
		if (offset >= size || seen.has(offset)) {
			throw new MalformedBinary(`export tree has no node at ${offset}`);
		}

		seen.add(offset);
		const {value: terminalSize, next} = bytes.uleb(start + offset);
		if (terminalSize > 0) {
			names.push(prefix);
		}

		let at = next + terminalSize;
		for (let left = bytes.u8(at++); left > 0; left--) {
			const edge = bytes.text(at);
			const child = bytes.uleb(at + edge.length + 1);
			visit(child.value, prefix + edge);
			at = child.next;
		}
	};

	if (size > 0) {
		visit(0, '');
	}

	return names;
}

/** What is defined here, and neither exported nor a debugger's. */
function hasLocalSymbols(bytes, at) {
	if (at === undefined) {
		return false;
	}

	const start = bytes.u32(at + 8);
	return Array.from({length: checkCount(bytes.u32(at + 12), bytes.length / 16, 'symbols')}, (_, index) => bytes.u8(start + (index * 16) + 4))
		.some(type => type % 2 === 0 && Math.floor(type / 2) % 8 === 7);
}

const magic = {signature: 0xFA_DE_0C_C0, codeDirectory: 0xFA_DE_0C_02};
const sha256Type = 2;

/** @returns {string | undefined} */
function signatureFault(bytes, at) {
	if (bytes.u32be(at) !== magic.signature) {
		return 'its signature is not one';
	}

	let directory;
	for (let index = 0; index < checkCount(bytes.u32be(at + 8), 100, 'parts of a signature'); index++) {
		const part = at + bytes.u32be(at + 12 + (index * 8) + 4);
		if (bytes.u32be(part) === magic.codeDirectory) {
			directory = part;
		}
	}

	if (directory === undefined) {
		return 'its signature has no code directory';
	}

	const hashes = directory + bytes.u32be(directory + 16);
	const pageCount = bytes.u32be(directory + 28);
	const codeSize = bytes.u32be(directory + 32);
	const hashSize = bytes.u8(directory + 36);
	const pageSize = 2 ** bytes.u8(directory + 39);
	if (bytes.u8(directory + 37) !== sha256Type || hashSize !== 32) {
		return 'its signature does not use SHA-256';
	}

	if (codeSize !== at || pageCount !== Math.ceil(codeSize / pageSize)) {
		return 'its signature does not cover the whole file';
	}

	for (let page = 0; page < pageCount; page++) {
		const content = bytes.slice(page * pageSize, Math.min(pageSize, codeSize - (page * pageSize)));
		if (!createHash('sha256').update(content).digest().equals(bytes.slice(hashes + (page * hashSize), hashSize))) {
			return `page ${page} does not have the hash that was signed`;
		}
	}

	return undefined;
}
