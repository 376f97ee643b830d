/** The rules that a released binary keeps, by target. */

import {oldestMacos} from '../build/addon-flags.mjs';
import {readElf} from './elf.mjs';
import {UnreadableBinary} from './llvm.mjs';
import {readMacho} from './macho.mjs';
import {readPe} from './pe.mjs';

/** The functions that Node looks up in an addon. It exports nothing else, so that no other library's symbol of the same name is taken for its own. */
const entryPoints = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

const largestBytes = 500_000;

/**
 * The versions of Enterprise Linux 8, the oldest system that Node's own binaries run on.
 * Source: https://github.com/nodejs/node/blob/v20.x/BUILDING.md, "Official binary platforms and toolchains"; GCC, "ABI Policy and Guidelines".
 */
const newestVersions = {
	GLIBC: '2.28', GLIBCXX: '3.4.25', CXXABI: '1.3.11', GCC: '8.0.0',
};

/** glibc's libraries, with either CPU's loader; libstdc++ and libgcc, which every Node needs as well. */
const glibcLibraries = /^(?:lib(?:c|m|dl|pthread|rt)\.so\.\d|ld-linux-[\w-]+\.so\.\d|libstdc\+\+\.so\.6|libgcc_s\.so\.1)$/;
const macosLibraries = new Set([
	'/usr/lib/libSystem.B.dylib',
	// Apple's compiler links no static C++ library.
	'/usr/lib/libc++.1.dylib',
	'/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation',
	'/System/Library/Frameworks/Security.framework/Versions/A/Security',
]);
/** Libraries of every Windows 10, which include the C run-time library. */
const windowsLibraries = /^(?:kernel32|advapi32|crypt32|ntdll|ole32|shell32|bcrypt)\.dll$|^api-ms-win-crt-[\w-]+\.dll$/;

/** Compilers emit weak references to these, for tools that are not linked. */
const optionalImports = new Set(['__gmon_start__', '_ITM_deregisterTMCloneTable', '_ITM_registerTMCloneTable', '__cxa_finalize', '__cxa_thread_atexit_impl']);

/**
 * @param {import('./targets.mjs').Target} target
 * @param {Buffer} bytes
 * @param {{nodeApi: Set<string>, privatePaths?: string[]}} context `nodeApi`: the functions that every supported Node exports.
 * `privatePaths`: texts that the binary must not hold.
 * @returns {{findings: string[], notes: string[], asksFor: string}} `notes`: which protections the binary has or cannot have.
 * `asksFor`: the newest system version that the binary needs.
 * @throws {Error} if LLVM's tools are not installed.
 */
export function examine(target, bytes, {nodeApi, privatePaths = []}) {
	const findings = [];
	const notes = [];
	const refuse = (isWrong, finding) => {
		if (isWrong) {
			findings.push(finding);
		}
	};

	let asksFor = '';
	try {
		asksFor = rules[target.system](target, bytes, {refuse, nodeApi, note: text => notes.push(text)});
	} catch (error) {
		if (!(error instanceof UnreadableBinary)) {
			throw error;
		}

		findings.push(`cannot be read: ${error.message}`);
	}

	refuse(bytes.length > largestBytes, `${bytes.length} bytes, more than ${largestBytes}`);
	for (const path of privatePaths) {
		refuse(bytes.includes(path), `it holds a path of the machine that built it: ${path}`);
	}

	return {findings, notes, asksFor};
}

const rules = {
	linux(target, bytes, {refuse, nodeApi, note}) {
		const elf = readElf(bytes);
		checkReading(elf, refuse);
		checkArch(target, elf.arch, refuse);
		checkExports(elf.exports, refuse);
		refuse(!elf.isLibrary, 'it is not a shared library');
		refuse(!elf.bindsNow || !elf.hasReadOnlyRelocations, 'symbols are not bound and made read-only when it is loaded');
		refuse(!elf.staysLoaded, 'it may be unloaded while its threads run');
		refuse(elf.hasSearchPath, 'it has a search path for libraries');
		refuse(elf.hasExecutableStack, 'it asks for an executable stack');
		refuse(!elf.isStripped, 'it is not stripped');
		checkStack(elf.largeFrames, {refuse, note});
		if (target.arch === 'arm64') {
			checkBranches(elf, {refuse, note});
		}

		checkNodeApi(elf.imports.map(({name}) => name), nodeApi, refuse);
		return target.libc === 'musl' ? checkMusl(elf, refuse) : checkGlibc(elf, refuse);
	},

	mac(target, bytes, {refuse, nodeApi, note}) {
		const macho = readMacho(bytes);
		checkReading(macho, refuse);
		checkArch(target, macho.arch, refuse);
		checkExports(macho.exports.map(name => name.replace(/^_/, '')), refuse);
		refuse(!macho.isBundle, 'it is not a bundle');
		refuse(macho.oldestMacos !== oldestMacos, `it is for macOS ${macho.oldestMacos}, not ${oldestMacos}`);
		refuse(macho.hasSearchPath, 'it has a search path for libraries');
		refuse(!macho.isStripped, 'it is not stripped');
		refuse(macho.signatureFault !== undefined, `${macho.signatureFault}`);
		for (const library of macho.libraries) {
			refuse(!macosLibraries.has(library), `it needs ${library}`);
		}

		// The loader also looks up the C++ library's replaceable functions, such as operator new, in every other loaded library.
		const ofSystem = new Set(macho.binds.filter(({library}) => library === '/usr/lib/libc++.1.dylib').map(({name}) => name));
		for (const {name, library} of macho.binds) {
			const isOfHost = nodeApi.has(name.replace(/^_/, ''));
			const isAllowed = isOfHost ? library === 'flat lookup' : macosLibraries.has(library) || (library === 'weak lookup' && ofSystem.has(name));
			refuse(!isAllowed, `${name} is looked for in ${library}`);
		}

		if (target.arch === 'arm64') {
			note('no branch protection: macOS turns its keys off in every program that is not arm64e, and no Node is');
		}

		checkNodeApi(macho.binds.map(({name}) => name.replace(/^_/, '')), nodeApi, refuse);
		return `macOS ${macho.oldestMacos}`;
	},

	win(target, bytes, {refuse, note}) {
		const pe = readPe(bytes);
		checkReading(pe, refuse);
		checkArch(target, pe.arch, refuse);
		checkExports(pe.exports, refuse);
		refuse(pe.sizeInFile > bytes.length, 'it is cut off');
		refuse(!pe.isRelocatable, 'its address is not random');
		refuse(pe.hasExecutableData, 'its data is executable');
		refuse(pe.holdsTime, 'it holds the time when it was linked');
		refuse(!pe.isStripped, 'it is not stripped');
		for (const library of pe.libraries) {
			refuse(!windowsLibraries.test(library), `it needs ${library}`);
		}

		for (const library of pe.delayedLibraries) {
			// node-gyp's hook for delayed imports takes Node-API from the running program, whatever its name is.
			refuse(library !== 'node.exe' && !windowsLibraries.test(library), `it needs ${library}`);
		}

		checkControlFlowGuard(pe, {refuse, note});
		return 'Windows 10';
	},
};

/** @param {import('./elf.mjs').Elf['largeFrames']} frames */
function checkStack({probed, unprobed}, {refuse, note}) {
	refuse(unprobed > 0, `${unprobed} times, code makes room for more than a page without touching each: -fstack-clash-protection is missing`);
	note(probed + unprobed > 0
		? `stack clash protection: ${probed} of ${probed + unprobed} large frames touch each page`
		: 'stack clash protection: no function has a frame of more than a page, so the flag leaves no trace');
}

/** @param {import('./elf.mjs').Elf} elf */
function checkBranches({branchProtection: {hasLandingPads, signsReturns}, hasPropertyNote}, {refuse, note}) {
	refuse(!signsReturns, 'its functions do not sign their return addresses: -mbranch-protection is missing');
	refuse(!hasLandingPads, 'its exports do not begin with a landing pad: -mbranch-protection is missing');
	note(hasPropertyNote
		? 'branch protection: return addresses are signed, and the loader protects indirect jumps'
		: 'branch protection: return addresses are signed. The loader does not protect indirect jumps, because the C++ library that zig links has no landing pads');
}

/**
 * Microsoft's linker delays the imports from node.exe. Without them, the binary was built on another system, to be examined and tested.
 *
 * @param {Pick<import('./pe.mjs').Pe, 'delayedLibraries' | 'hasControlFlowGuard'>} pe
 */
export function checkControlFlowGuard({delayedLibraries, hasControlFlowGuard}, {refuse, note}) {
	const isOfMicrosoft = delayedLibraries.includes('node.exe');
	refuse(isOfMicrosoft && !hasControlFlowGuard, 'it has no control flow guard: /guard:cf is missing');
	if (hasControlFlowGuard) {
		note('control flow guard');
	} else if (!isOfMicrosoft) {
		note('no control flow guard: zig\'s linker has no /guard:cf. The release is built with Microsoft\'s, whose binaries must have it');
	}
}

function checkReading({complaint}, refuse) {
	refuse(complaint !== undefined, `cannot be read: ${complaint}`);
}

function checkArch({arch}, found, refuse) {
	refuse(found !== arch, `it is for ${found}, not ${arch}`);
}

function checkExports(found, refuse) {
	const missing = entryPoints.filter(name => !found.includes(name));
	const more = found.filter(name => !entryPoints.includes(name));
	refuse(missing.length > 0, `it does not export ${missing.join(', ')}`);
	refuse(more.length > 0, `it exports ${more.slice(0, 5).join(', ')}${more.length > 5 ? ` and ${more.length - 5} more` : ''}`);
}

function checkNodeApi(imports, nodeApi, refuse) {
	const unknown = imports.filter(name => /^(?:napi|node_api)_/.test(name) && !nodeApi.has(name));
	refuse(unknown.length > 0, `not every supported Node has ${unknown.join(', ')}`);
	refuse(!imports.some(name => nodeApi.has(name)), 'it calls nothing of Node-API');
}

function checkGlibc({needed, imports, versions}, refuse) {
	for (const library of needed) {
		refuse(!glibcLibraries.test(library), `it needs ${library}`);
	}

	for (const {name, library, version} of imports) {
		refuse(version !== undefined && isTooNew(version), `${name} of ${library} asks for ${version}`);
		// Each symbol of glibc has a version, and the functions of Node have none.
		refuse(version === undefined && !/^(?:napi|node_api)_/.test(name) && !optionalImports.has(name), `no library is named for ${name}`);
	}

	// The loader needs each version that is named, also if no symbol has it.
	for (const version of versions) {
		refuse(isTooNew(version), `it asks for ${version}`);
	}

	refuse(!needed.some(library => library.startsWith('libc.so.')), 'it does not need glibc');
	const ofGlibc = versions.filter(version => version.startsWith('GLIBC_')).toSorted(compareVersions);
	return ofGlibc.length === 0 ? '' : ofGlibc.at(-1).replace('GLIBC_', 'glibc ');
}

function checkMusl({needed, versions}, refuse) {
	for (const library of needed) {
		refuse(library !== 'libc.so', `it needs ${library}`);
	}

	refuse(!needed.includes('libc.so'), 'it does not need musl');
	refuse(versions.length > 0, `musl has no symbol versions, such as ${versions[0]}`);
	return 'musl';
}

function isTooNew(version) {
	const [, name, number] = /^(?<name>[A-Z]+)_(?<number>[\d.]+)$/.exec(version) ?? [];
	return newestVersions[name] === undefined || compareVersions(number, newestVersions[name]) > 0;
}

function compareVersions(left, right) {
	const numbers = text => text.replace(/^\D+/, '').split('.').map(Number);
	const [a, b] = [numbers(left), numbers(right)];
	const index = a.findIndex((number, position) => number !== (b[position] ?? 0));
	return index === -1 ? a.length - b.length : a[index] - (b[index] ?? 0);
}
