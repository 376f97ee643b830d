/** Reads what Windows' loader reads of a DLL. Source: Microsoft, "PE Format" (learn.microsoft.com/windows/win32/debug/pe-format). */

import {Bytes, checkCount, MalformedBinary} from './bytes.mjs';

/**
 * @typedef {object} Pe
 * @property {string} arch As `process.arch`, or the machine's number.
 * @property {string[]} libraries What it imports from, in lower case.
 * @property {string[]} exports
 * @property {boolean} isRelocatable Its address is random, of 64 bits.
 * @property {boolean} hasExecutableData
 * @property {boolean} holdsTime When it was linked, and not a hash of what was linked.
 * @property {boolean} isStripped
 */

const machines = {0x86_64: 'x64', 0xAA_64: 'arm64'};
const dynamicBase = 0x40;
const highEntropy = 0x20;
const noExecute = 0x1_00;
const dll = 0x20_00;
/** The kind of debug entry that says: what looks like times are hashes. */
const reproducible = 16;
const directory = {
	exports: 0, imports: 1, debug: 6, delayedImports: 13,
};

/** @param {Buffer} buffer @returns {Pe} @throws {MalformedBinary} */
export function readPe(buffer) {
	const bytes = new Bytes(buffer);
	if (bytes.u16(0) !== 0x5A_4D || bytes.u32be(bytes.u32(60)) !== 0x50_45_00_00) {
		throw new MalformedBinary('not a PE file');
	}

	const header = bytes.u32(60) + 4;
	const optional = header + 20;
	if (bytes.u16(optional) !== 0x2_0B || !hasBit(bytes.u16(header + 18), dll)) {
		throw new MalformedBinary('not a DLL of 64 bits');
	}

	const sections = Array.from({length: bytes.u16(header + 2)}, (_, index) => {
		const at = optional + bytes.u16(header + 16) + (index * 40);
		return {address: bytes.u32(at + 12), sizeInFile: bytes.u32(at + 16), offset: bytes.u32(at + 20)};
	});
	const offsetOf = address => {
		const found = sections.find(section => address >= section.address && address < section.address + section.sizeInFile);
		if (!found) {
			throw new MalformedBinary(`address ${address} is in no section`);
		}

		return address - found.address + found.offset;
	};

	const addressOf = index => index < bytes.u32(optional + 108) ? bytes.u32(optional + 112 + (index * 8)) : 0;
	const characteristics = bytes.u16(optional + 70);
	const debug = addressOf(directory.debug) === 0 ? 0 : offsetOf(addressOf(directory.debug));
	const debugTypes = Array.from({length: debug === 0 ? 0 : checkCount(Math.floor(bytes.u32(optional + 116 + (directory.debug * 8)) / 28), 100, 'debug entries')}, (_, index) => bytes.u32(debug + (index * 28) + 12));
	return {
		arch: machines[bytes.u16(header)] ?? `machine ${bytes.u16(header)}`,
		libraries: [
			...readLibraries(bytes, addressOf(directory.imports), offsetOf, {size: 20, name: 12}),
			...readLibraries(bytes, addressOf(directory.delayedImports), offsetOf, {size: 32, name: 4}),
		],
		exports: readExports(bytes, addressOf(directory.exports), offsetOf),
		isRelocatable: hasBit(characteristics, dynamicBase) && hasBit(characteristics, highEntropy),
		hasExecutableData: !hasBit(characteristics, noExecute),
		holdsTime: bytes.u32(header + 4) !== 0 && !debugTypes.includes(reproducible),
		isStripped: bytes.u32(header + 8) === 0 && debugTypes.every(type => type === reproducible),
	};
}

const hasBit = (flags, bit) => Math.floor(flags / bit) % 2 === 1;

/** Both kinds of import are a list of records, ended by one whose name is zero. */
function readLibraries(bytes, address, offsetOf, {size, name}) {
	const libraries = [];
	for (let at = address === 0 ? 0 : offsetOf(address); at !== 0 && bytes.u32(at + name) !== 0; at += size) {
		libraries.push(bytes.text(offsetOf(bytes.u32(at + name))).toLowerCase());
	}

	return libraries;
}

function readExports(bytes, address, offsetOf) {
	if (address === 0) {
		return [];
	}

	const at = offsetOf(address);
	const count = checkCount(bytes.u32(at + 24), bytes.length / 4, 'exports');
	const unnamed = bytes.u32(at + 20) - count;
	const names = count === 0 ? 0 : offsetOf(bytes.u32(at + 32));
	return [
		...Array.from({length: count}, (_, index) => bytes.text(offsetOf(bytes.u32(names + (index * 4))))),
		...(unnamed > 0 ? [`${unnamed} without a name`] : []),
	];
}
