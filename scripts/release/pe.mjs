/** Reads what Windows' loader reads of a DLL, with llvm-readobj. */

import {readWith, UnreadableBinary} from './llvm.mjs';
import {readobj} from './toolchain.mjs';

/**
 * @typedef {object} Pe
 * @property {string | undefined} complaint The first warning of the reader.
 * @property {string} arch As `process.arch`, or the machine's number.
 * @property {string[]} libraries What it imports from when it is loaded, in lower case.
 * @property {string[]} delayedLibraries What it imports from at the first call, in lower case.
 * @property {string[]} exports
 * @property {boolean} isRelocatable Its address is random, of 64 bits.
 * @property {boolean} hasExecutableData
 * @property {boolean} holdsTime It holds the time when it was linked, and not a hash in its place.
 * @property {boolean} isStripped
 * @property {boolean} hasControlFlowGuard Windows checks indirect calls: it is compiled so, and has the table of functions that may be called.
 * @property {number} sizeInFile Where its last section ends.
 */

const archs = {0x86_64: 'x64', 0xAA_64: 'arm64'};

/** Kinds of debug entries. Source: Microsoft, "PE Format" (learn.microsoft.com/windows/win32/debug/pe-format), "Debug Type". */
const debugType = {
	reproducible: 16, compilerFeatures: 12, optimization: 13, moreCharacteristics: 20,
};
/** They hold neither symbols nor the path of a file with symbols. */
const harmlessDebugTypes = new Set(Object.values(debugType));

/** @param {Buffer} bytes @returns {Pe} @throws {UnreadableBinary} */
export function readPe(bytes) {
	const {text, complaint} = readWith(readobj, ['--file-headers', '--sections', '--coff-imports', '--coff-exports', '--coff-debug-directory', '--coff-load-config'], bytes);
	// A machine that the reader does not know is printed without a name.
	const machine = /^ {2}Machine: (?:.*\()?(?<number>0x[\dA-F]+)\)?$/m.exec(text)?.groups.number;
	if (!machine || !text.includes('IMAGE_FILE_DLL (0x2000)') || !/^ {2}Magic: 0x20B$/m.test(text)) {
		throw new UnreadableBinary(complaint ?? 'not a DLL of 64 bits');
	}

	const valuesOf = (wanted, key) => [...text.matchAll(new RegExp(String.raw`^ *${wanted} \{\n(?: +(?!${key}:).*\n)*? +${key}:(?<value>.*)$`, 'gm'))].map(({groups}) => groups.value.trim());
	const debugTypes = valuesOf('DebugEntry', 'Type').map(value => Number(/\((?<number>0x[\dA-F]+)\)/.exec(value)?.groups.number));
	const exported = valuesOf('Export', 'Name');
	const unnamed = exported.filter(name => name === '').length;
	const [time] = valuesOf('ImageFileHeader', 'TimeDateStamp');
	const [symbols] = valuesOf('ImageFileHeader', 'PointerToSymbolTable');
	const starts = valuesOf('Section', 'PointerToRawData').map(Number);
	const sizes = valuesOf('Section', 'RawDataSize').map(Number);
	return {
		complaint,
		arch: archs[Number(machine)] ?? `machine ${machine}`,
		libraries: valuesOf('Import', 'Name').map(name => name.toLowerCase()),
		delayedLibraries: valuesOf('DelayImport', 'Name').map(name => name.toLowerCase()),
		exports: [...exported.filter(name => name !== ''), ...(unnamed > 0 ? [`${unnamed} without a name`] : [])],
		isRelocatable: text.includes('_DYNAMIC_BASE (') && text.includes('_HIGH_ENTROPY_VA ('),
		hasExecutableData: !text.includes('_NX_COMPAT ('),
		holdsTime: !/\(0x0\)/.test(time) && !debugTypes.includes(debugType.reproducible),
		isStripped: symbols === '0x0' && debugTypes.every(type => harmlessDebugTypes.has(type)),
		hasControlFlowGuard: ['_GUARD_CF (', ' CF_INSTRUMENTED (', ' CF_FUNCTION_TABLE_PRESENT ('].every(flag => text.includes(flag)) && /^ {2}GuardCFFunctionCount: [1-9]/m.test(text),
		sizeInFile: Math.max(0, ...starts.map((start, index) => start + sizes[index])),
	};
}
