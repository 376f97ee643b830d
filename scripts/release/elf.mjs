/** Reads what the loader reads of a shared library for Linux, with llvm-readobj. */

import {readWith, UnreadableBinary} from './llvm.mjs';
import {branchProtectionOf, largeFramesOf} from './machine-code.mjs';
import {readobj} from './toolchain.mjs';

/** @typedef {{name: string, library: string | undefined, version: string | undefined}} ElfImport */

/**
 * @typedef {object} Elf
 * @property {string | undefined} complaint The first warning of the reader.
 * @property {string} arch As `process.arch`, or the machine's name.
 * @property {boolean} isLibrary Or a position-independent program, which has the same type.
 * @property {string[]} needed The libraries that the loader looks for.
 * @property {ElfImport[]} imports
 * @property {string[]} exports
 * @property {string[]} versions The symbol versions that it needs of libraries, such as `GLIBC_2.17`.
 * @property {boolean} bindsNow The loader looks up all symbols when it loads the file.
 * @property {boolean} staysLoaded
 * @property {boolean} hasSearchPath It has a search path for libraries.
 * @property {boolean} hasReadOnlyRelocations
 * @property {boolean} hasExecutableStack
 * @property {boolean} isStripped
 * @property {{probed: number, unprobed: number}} largeFrames
 * @property {{hasLandingPads: boolean, signsReturns: boolean}} branchProtection Of arm64.
 * @property {boolean} hasPropertyNote The loader protects indirect jumps of a library with this note alone. The linker writes it if every
 * object has it.
 */

const archs = {EM_X86_64: 'x64', EM_AARCH64: 'arm64'};
const parts = ['--file-headers', '--program-headers', '--section-headers', '--dynamic-table', '--dyn-symbols', '--version-info'];

/** @param {Buffer} bytes @returns {Elf} @throws {UnreadableBinary} */
export function readElf(bytes) {
	const {text, complaint} = readWith(readobj, ['--elf-output-style=JSON', ...parts], bytes);
	const file = parse(text, complaint);
	const header = file.ElfHeader;
	const segments = file.ProgramHeaders.map(each => each.ProgramHeader);
	const dynamic = file.DynamicSection;
	const dependencies = file.VersionRequirements.map(each => each.Dependency);
	const symbols = file.DynamicSymbols.slice(1).map(each => each.Symbol);
	const libraryOf = version => dependencies.find(({Entries: entries}) => entries.some(({Entry: entry}) => entry.Name === version))?.FileName;
	const flags = new Set(dynamic.flatMap(({Flags: names}) => names ?? []));
	const stack = segments.find(({Type: type}) => type.Name === 'PT_GNU_STACK');
	const code = segments.find(({Type: type, Flags: {Flags: names}}) => type.Name === 'PT_LOAD' && names.some(flag => flag.Name === 'PF_X'));
	const codeBytes = code ? bytes.subarray(code.Offset, code.Offset + code.FileSize) : Buffer.alloc(0);
	const arch = archs[header.Machine.Name] ?? header.Machine.Name;
	const isUndefined = symbol => symbol.Section.Name === 'Undefined';
	return {
		complaint,
		arch,
		isLibrary: header.Type.startsWith('SharedObject'),
		needed: dynamic.filter(({Type: type}) => type === 'NEEDED').map(({Library: library}) => library),
		imports: symbols.filter(symbol => isUndefined(symbol)).map(symbol => {
			const [name, version] = symbol.Name.Name.split(/@+/);
			return {name, version, library: version && libraryOf(version)};
		}),
		exports: symbols.filter(symbol => !isUndefined(symbol)).map(symbol => symbol.Name.Name.split('@')[0]),
		versions: dependencies.flatMap(({Entries: entries}) => entries.map(({Entry: entry}) => entry.Name)),
		bindsNow: flags.has('BIND_NOW') || flags.has('NOW'),
		staysLoaded: flags.has('NODELETE'),
		hasSearchPath: dynamic.some(({Type: type}) => ['RPATH', 'RUNPATH'].includes(type)),
		hasReadOnlyRelocations: segments.some(({Type: type}) => type.Name === 'PT_GNU_RELRO'),
		hasExecutableStack: stack === undefined || stack.Flags.Flags.some(flag => flag.Name === 'PF_X'),
		isStripped: !file.Sections.some(({Section: section}) => section.Type.Name === 'SHT_SYMTAB'),
		largeFrames: largeFramesOf(arch, codeBytes),
		branchProtection: branchProtectionOf(codeBytes, symbols.filter(symbol => !isUndefined(symbol)).map(symbol => symbol.Value - (code?.VirtualAddress ?? 0))),
		hasPropertyNote: segments.some(({Type: type}) => type.Name === 'PT_GNU_PROPERTY'),
	};
}

/** The JSON of a file that the reader does not understand may end in the middle, or lack a part. */
function parse(text, complaint) {
	let file;
	try {
		// LLVM 19 prints this field of a version definition as plain text, also in JSON.
		[file] = JSON.parse(text.replaceAll(/Predecessors: \[.*\]\n/g, ''));
	} catch {
		throw new UnreadableBinary(complaint ?? 'the reader printed no JSON');
	}

	if (file?.ElfHeader?.Ident.Class.Name !== '64-bit' || file.ElfHeader.Ident.DataEncoding.Name !== 'LittleEndian') {
		throw new UnreadableBinary(complaint ?? 'not an ELF file of 64 bits, little-endian');
	}

	const missing = ['ProgramHeaders', 'Sections', 'DynamicSection', 'DynamicSymbols', 'VersionRequirements'].find(part => !Array.isArray(file[part]));
	if (missing) {
		throw new UnreadableBinary(complaint ?? `no ${missing}`);
	}

	return file;
}
