/** Reads what macOS' loader reads of a bundle, with llvm-objdump. */

import path from 'node:path';
import {signatureFault} from './code-signature.mjs';
import {readWith, UnreadableBinary} from './llvm.mjs';
import {objdump} from './toolchain.mjs';

/** @typedef {{name: string, library: string}} MachoBind `library`: a path, `flat lookup` (any loaded library or the program), or `weak lookup`. */

/**
 * @typedef {object} Macho
 * @property {string | undefined} complaint The first warning of the reader.
 * @property {string} arch As `process.arch`, or the CPU's name.
 * @property {boolean} isBundle
 * @property {string | undefined} oldestMacos Such as `11.0`.
 * @property {string[]} libraries
 * @property {boolean} hasSearchPath
 * @property {MachoBind[]} binds
 * @property {string[]} exports
 * @property {boolean} isStripped It has no local symbols.
 * @property {string | undefined} signatureFault What is wrong with the signature.
 */

const archs = {X86_64: 'x64', ARM64: 'arm64'};
const libraryCommands = new Set(['LC_LOAD_DYLIB', 'LC_LOAD_WEAK_DYLIB', 'LC_REEXPORT_DYLIB', 'LC_LAZY_LOAD_DYLIB', 'LC_LOAD_UPWARD_DYLIB']);

/** @param {Buffer} bytes @returns {Macho} @throws {UnreadableBinary} */
export function readMacho(bytes) {
	const {text, complaint} = readWith(objdump, ['--macho', '--private-headers', '--exports-trie', '--bind', '--lazy-bind', '--weak-bind'], bytes);
	const header = /^ *MH_MAGIC_64 +(?<cpu>\w+) +\S+ +\S+ +(?<type>\w+) /m.exec(text)?.groups;
	if (!header) {
		throw new UnreadableBinary(complaint ?? 'not a Mach-O file of 64 bits');
	}

	const [headers, exported = '', binds = ''] = text.split(/^(?:Exports trie|Bind table):$/m);
	const commands = headers.split(/^Load command \d+$/m).slice(1);
	const valueIn = (command, key) => new RegExp(String.raw`^ *${key} (?<value>\S+)`, 'm').exec(command ?? '')?.groups.value;
	const find = name => commands.find(command => valueIn(command, 'cmd') === name);
	if (find('LC_DYLD_CHAINED_FIXUPS')) {
		// The oldest supported macOS does not read them, and llvm-objdump lists no binds of such a file.
		throw new UnreadableBinary('chained fixups, which are for newer systems');
	}

	const libraries = commands.filter(command => libraryCommands.has(valueIn(command, 'cmd'))).map(command => valueIn(command, 'name'));
	const signature = find('LC_CODE_SIGNATURE');
	return {
		complaint,
		arch: archs[header.cpu] ?? header.cpu,
		isBundle: header.type === 'BUNDLE',
		oldestMacos: valueIn(find('LC_BUILD_VERSION'), 'minos') ?? valueIn(find('LC_VERSION_MIN_MACOSX'), 'version'),
		libraries,
		hasSearchPath: find('LC_RPATH') !== undefined,
		binds: readBinds(binds, libraries),
		exports: [...exported.matchAll(/^(?:0x[\dA-F]+|\[re-export\]) +(?<name>\S+)/gm)].map(({groups}) => groups.name),
		isStripped: valueIn(find('LC_DYSYMTAB'), 'nlocalsym') === '0',
		signatureFault: signature === undefined ? 'it is not signed' : signatureFault(bytes, Number(valueIn(signature, 'dataoff'))),
	};
}

/** The lines of the tables: segment, section, address, then type and addend unless it is a lazy bind, the library unless it is a weak one. */
const ordinary = /^\S+ +\S+ +0x[\dA-F]+ +\w+ +-?\d+ +(?<library>\S+) +(?<name>\S+)/;
const lazy = /^\S+ +\S+ +0x[\dA-F]+ +(?<library>\S+) +(?<name>\S+)/;
const weak = /^(?:\S+ +\S+ +0x[\dA-F]+ +\w+ +-?\d+|strong) +(?<name>\S+)/;

function readBinds(text, libraries) {
	const pathOf = shortName => ({'flat-namespace': 'flat lookup', weak: 'weak lookup'})[shortName]
		?? libraries.find(library => path.basename(library).split('.')[0] === shortName)
		?? shortName;
	const [ordinaryLines, lazyLines = '', weakLines = ''] = text.split(/^(?:Lazy bind|Weak bind) table:$/m);
	const binds = [
		...matches(ordinaryLines, ordinary).map(({library, name}) => ({name, library: pathOf(library)})),
		...matches(lazyLines, lazy).map(({library, name}) => ({name, library: pathOf(library)})),
		...matches(weakLines, weak).map(({name}) => ({name, library: 'weak lookup'})),
	];
	return [...new Map(binds.map(bind => [`${bind.library} ${bind.name}`, bind])).values()];
}

/** @throws {UnreadableBinary} if there is a line of another form, so that no bind is overlooked. */
function matches(text, pattern) {
	return text.split('\n').filter(line => line.trim() !== '' && !line.startsWith('segment ')).map(line => {
		const match = pattern.exec(line);
		if (!match) {
			throw new UnreadableBinary(`a bind of another form: ${line.trim()}`);
		}

		return match.groups;
	});
}
