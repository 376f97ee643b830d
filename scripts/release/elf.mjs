/**
 * Reads what the loader reads of a shared library for Linux: its dynamic segment. Source: System V ABI, chapter 5; for symbol versions
 * the Linux Standard Base, "Symbol Versioning"; for the hash table that counts symbols, glibc `elf/dl-lookup.c`.
 */

import {Bytes, checkCount, MalformedBinary} from './bytes.mjs';

/** @typedef {{name: string, library: string | undefined, version: string | undefined}} ElfImport */

/**
 * @typedef {object} Elf
 * @property {string} arch As `process.arch`, or the machine's number.
 * @property {boolean} isLibrary Or a program that can be loaded anywhere, which is the same.
 * @property {string[]} needed Libraries, as the loader looks for them.
 * @property {ElfImport[]} imports
 * @property {string[]} exports
 * @property {string[]} versions What is asked for of libraries, such as `GLIBC_2.17`.
 * @property {boolean} bindsNow All symbols are looked up when it is loaded.
 * @property {boolean} staysLoaded
 * @property {boolean} hasSearchPath It brings a path of its own for libraries.
 * @property {boolean} hasReadOnlyRelocations
 * @property {boolean} hasExecutableStack
 * @property {boolean} isStripped
 */

const machines = {62: 'x64', 183: 'arm64'};
const segment = {
	load: 1, dynamic: 2, stack: 0x64_74_E5_51, relro: 0x64_74_E5_52,
};
const tag = {
	needed: 1,
	stringTable: 5,
	symbolTable: 6,
	rpath: 15,
	runpath: 29,
	flags: 30,
	gnuHash: 0x6F_FF_FE_F5,
	versionOfSymbol: 0x6F_FF_FF_F0,
	flags1: 0x6F_FF_FF_FB,
	versionsNeeded: 0x6F_FF_FF_FE,
	versionsNeededCount: 0x6F_FF_FF_FF,
};

/** @param {Buffer} buffer @returns {Elf} @throws {MalformedBinary} */
export function readElf(buffer) {
	const bytes = new Bytes(buffer);
	if (bytes.u32be(0) !== 0x7F_45_4C_46) {
		throw new MalformedBinary('not an ELF file');
	}

	if (bytes.u8(4) !== 2 || bytes.u8(5) !== 1) {
		throw new MalformedBinary('not of 64 bits, little-endian');
	}

	const segments = readSegments(bytes);
	const dynamic = segments.find(({type}) => type === segment.dynamic);
	const stack = segments.find(({type}) => type === segment.stack);
	if (!dynamic) {
		throw new MalformedBinary('no dynamic segment');
	}

	const entries = readDynamic(bytes, dynamic);
	const offsetOf = address => {
		const found = segments.find(({type, address: start, sizeInFile}) => type === segment.load && address >= start && address < start + sizeInFile);
		if (!found) {
			throw new MalformedBinary(`address ${address} is in no segment`);
		}

		return address - found.address + found.offset;
	};

	const valueOf = wanted => entries.find(each => each.tag === wanted)?.value;
	const offsetOfTable = (wanted, what) => {
		const address = valueOf(wanted);
		if (address === undefined) {
			throw new MalformedBinary(`no ${what}`);
		}

		return offsetOf(address);
	};

	const strings = offsetOfTable(tag.stringTable, 'string table');
	const versionOf = readVersionsNeeded(bytes, valueOf(tag.versionsNeeded) === undefined ? undefined : offsetOf(valueOf(tag.versionsNeeded)), valueOf(tag.versionsNeededCount) ?? 0, strings);
	const {imports, exports} = readSymbols(bytes, {
		strings,
		symbols: offsetOfTable(tag.symbolTable, 'symbol table'),
		hash: offsetOfTable(tag.gnuHash, 'hash table'),
		versions: valueOf(tag.versionOfSymbol) === undefined ? undefined : offsetOf(valueOf(tag.versionOfSymbol)),
		versionOf,
	});
	const flags = valueOf(tag.flags) ?? 0;
	const flags1 = valueOf(tag.flags1) ?? 0;
	return {
		arch: machines[bytes.u16(18)] ?? `machine ${bytes.u16(18)}`,
		isLibrary: bytes.u16(16) === 3,
		needed: entries.filter(each => each.tag === tag.needed).map(({value}) => bytes.text(strings + value)),
		imports,
		exports,
		versions: [...versionOf.values()].map(({version}) => version),
		bindsNow: hasBit(flags, 8) || hasBit(flags1, 1),
		staysLoaded: hasBit(flags1, 8),
		hasSearchPath: valueOf(tag.rpath) !== undefined || valueOf(tag.runpath) !== undefined,
		hasReadOnlyRelocations: segments.some(({type}) => type === segment.relro),
		hasExecutableStack: stack === undefined || hasBit(stack.flags, 1),
		isStripped: !hasSymbolSection(bytes),
	};
}

const hasBit = (flags, bit) => Math.floor(flags / bit) % 2 === 1;

function readSegments(bytes) {
	const start = bytes.u64(32);
	const size = bytes.u16(54);
	return Array.from({length: bytes.u16(56)}, (_, index) => {
		const at = start + (index * size);
		return {
			type: bytes.u32(at),
			flags: bytes.u32(at + 4),
			offset: bytes.u64(at + 8),
			address: bytes.u64(at + 16),
			sizeInFile: bytes.u64(at + 32),
		};
	});
}

function readDynamic(bytes, {offset, sizeInFile}) {
	const entries = [];
	for (let at = offset; at < offset + sizeInFile && bytes.u64(at) !== 0; at += 16) {
		entries.push({tag: bytes.u64(at), value: bytes.u64(at + 8)});
	}

	return entries;
}

/** @returns {Map<number, {library: string, version: string}>} By the number that the symbols have. */
function readVersionsNeeded(bytes, start, count, strings) {
	const versions = new Map();
	if (start === undefined) {
		return versions;
	}

	let at = start;
	for (let index = 0; index < checkCount(count, 100, 'libraries with versions'); index++) {
		const library = bytes.text(strings + bytes.u32(at + 4));
		let entry = at + bytes.u32(at + 8);
		for (let left = bytes.u16(at + 2); left > 0; left--) {
			versions.set(bytes.u16(entry + 6), {library, version: bytes.text(strings + bytes.u32(entry + 8))});
			entry += bytes.u32(entry + 12);
		}

		at += bytes.u32(at + 12);
	}

	return versions;
}

function readSymbols(bytes, {strings, symbols, hash, versions, versionOf}) {
	const imports = [];
	const exports = [];
	const count = checkCount(countSymbols(bytes, hash), bytes.length / 24, 'symbols');
	for (let index = 1; index < count; index++) {
		const at = symbols + (index * 24);
		const name = bytes.text(strings + bytes.u32(at));
		const isUndefined = bytes.u16(at + 6) === 0;
		if (isUndefined) {
			// The highest bit hides a symbol from linkers.
			const version = versions === undefined ? undefined : versionOf.get(bytes.u16(versions + (index * 2)) % 0x80_00);
			imports.push({name, library: version?.library, version: version?.version});
		} else {
			exports.push(name);
		}
	}

	return {imports, exports};
}

/** The table is over what is exported; what is imported stands before that. */
function countSymbols(bytes, at) {
	const bucketCount = bytes.u32(at);
	const firstHashed = bytes.u32(at + 4);
	const buckets = at + 16 + (bytes.u32(at + 8) * 8);
	const chains = buckets + (bucketCount * 4);
	let last = firstHashed - 1;
	for (let index = 0; index < checkCount(bucketCount, bytes.length / 4, 'hash buckets'); index++) {
		last = Math.max(last, bytes.u32(buckets + (index * 4)));
	}

	// The last bucket's chain ends where the lowest bit is set.
	while (last >= firstHashed && bytes.u32(chains + ((last - firstHashed) * 4)) % 2 === 0) {
		last++;
	}

	return last + 1;
}

function hasSymbolSection(bytes) {
	const start = bytes.u64(40);
	const size = bytes.u16(58);
	return Array.from({length: start === 0 ? 0 : bytes.u16(60)}, (_, index) => bytes.u32(start + (index * size) + 4)).includes(2);
}
