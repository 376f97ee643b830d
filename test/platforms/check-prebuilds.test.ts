/**
 * The rules that binaries keep before a release, on the real binaries and on copies with one damage each. The flags of a build from source
 * and of a release.
 */

import {execFile, spawnSync} from 'node:child_process';
import {
	cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {promisify} from 'node:util';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {compilerFlags} from '../../scripts/release/offline/flags.mjs';
import {readPe} from '../../scripts/release/pe.mjs';
import {checkControlFlowGuard, examine} from '../../scripts/release/prebuild-rules.mjs';
import {prebuildOf, targets} from '../../scripts/release/targets.mjs';
import {readobj, zig} from '../../scripts/release/toolchain.mjs';
import {type Lack, testWhere} from '../helpers/peers/peers.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const toolchain = join(root, 'tools', 'cross', 'node_modules');
const hasReaders = spawnSync(readobj, ['--version']).status === 0;

type Target = (typeof targets)[number];

function targetNamed(name: string): Target {
	const target = targets.find(each => each.name === name);
	if (!target) {
		throw new Error(`no target ${name}`);
	}

	return target;
}

function lackOfPrebuild({name, file}: Target): Lack {
	if (!hasReaders) {
		return `there is no ${readobj}; npm run prebuild:check`;
	}

	return existsSync(join(root, 'prebuilds', file)) && existsSync(join(toolchain, 'node-api-headers'))
		? undefined
		: `prebuilds/${file} is not built; npm run prebuild -- --target ${name}`;
}

/** The functions of Node-API, as the script gets them. */
function nodeApi(): Set<string> {
	const {symbols} = createRequire(join(toolchain, 'x.js'))('node-api-headers') as {symbols: Record<string, {js_native_api_symbols: string[]; node_api_symbols: string[]}>};
	const {js_native_api_symbols: engine = [], node_api_symbols: node = []} = symbols['v8'] ?? {};
	return new Set([...engine, ...node]);
}

const read = (target: Target) => readFileSync(prebuildOf(target));
const findingsOf = (target: Target, bytes: Buffer, privatePaths: string[] = []) => examine(target, bytes, {nodeApi: nodeApi(), privatePaths}).findings;

/** A copy with another text of the same length in place of the first, or of each, occurrence of a text. */
function withText(bytes: Buffer, before: string, after: string, {each = false} = {}): Buffer {
	if (Buffer.byteLength(before, 'latin1') !== Buffer.byteLength(after, 'latin1')) {
		throw new Error('the texts differ in length');
	}

	const copy = Buffer.from(bytes);
	const first = copy.indexOf(before, 0, 'latin1');
	if (first === -1) {
		throw new Error(`${before} does not occur`);
	}

	for (let at = first; at !== -1; at = each ? copy.indexOf(before, at + 1, 'latin1') : -1) {
		copy.write(after, at, 'latin1');
	}

	return copy;
}

function withByte(bytes: Buffer, at: number, value: number): Buffer {
	const copy = Buffer.from(bytes);
	copy[at] = value;
	return copy;
}

for (const target of targets) {
	testWhere(test, [lackOfPrebuild(target)], `${target.name}: the released binary keeps all rules`, t => {
		t.deepEqual(findingsOf(target, read(target), [root.replace(/\/$/, ''), 'node_modules']), []);
	});

	testWhere(test, [lackOfPrebuild(target)], `${target.name}: common damage is found`, t => {
		const bytes = read(target);
		for (const other of targets.filter(each => each !== target)) {
			t.not(findingsOf(other, bytes).length, 0, `taken for ${other.name}`);
		}

		t.regex(findingsOf(target, Buffer.concat([bytes, Buffer.alloc(500_000)])).join('\n'), /\d+ bytes, more than 500000/);
		t.deepEqual(findingsOf(target, bytes, ['napi_register_module']).filter(finding => finding.includes('it holds a path')).length, 1);
		t.regex(findingsOf(target, withText(bytes, '\0napi_register_module_v1'.slice(target.system === 'mac' ? 1 : 0), '\0napi_register_module_v9'.slice(target.system === 'mac' ? 1 : 0))).join('\n'), target.system === 'mac' ? /./ : /does not export napi_register_module_v1/);
	});

	testWhere(test, [lackOfPrebuild(target)], `${target.name}: a binary that is cut off or has flipped bytes ends the check with a list of findings`, t => {
		// 440 processes of LLVM's tools, one after the other.
		const bytes = read(target);
		for (let length = 0; length < bytes.length; length = length < 512 ? length + 7 : Math.ceil(length * 1.07)) {
			// The end may be the names of sections, which no loader reads.
			const findings = findingsOf(target, bytes.subarray(0, length));
			t.true(length > bytes.length * 0.9 || findings.length > 0, `${length} bytes`);
		}

		let state = 1;
		const random = (below: number) => {
			state = (state * 48_271) % 2_147_483_647;
			return state % below;
		};

		for (let round = 0; round < 300; round++) {
			const copy = Buffer.from(bytes);
			for (let flips = 1 + random(4); flips > 0; flips--) {
				copy[random(random(2) === 0 ? 4096 : copy.length)] = random(256);
			}

			t.true(Array.isArray(findingsOf(target, copy)));
		}
	});
}

// Most damages change a name: all three formats hold names as text, and a change of one keeps everything else in place.
const damages: ReadonlyArray<[title: string, target: string, damage: (bytes: Buffer) => Buffer, finding: RegExp]> = [
	['another CPU', 'linux-x64-glibc', bytes => withByte(bytes, 18, 183), /it is for arm64, not x64/],
	['one more export', 'linux-x64-glibc', bytes => withText(bytes, '\0node_api_module_get_api_version_v1', '\0operator_new_operator_delete_xxxxx'), /it exports operator_new/],
	['a glibc that is too new', 'linux-x64-glibc', bytes => withText(bytes, 'GLIBC_2.17', 'GLIBC_2.29'), /asks for GLIBC_2\.29/],
	['a library of no system', 'linux-x64-glibc', bytes => withText(bytes, 'libpthread.so.0', 'libcrypto9.so.3'), /it needs libcrypto9\.so\.3/],
	['a Node-API function that old Nodes lack', 'linux-x64-glibc', bytes => withText(bytes, '\0napi_create_function', '\0node_api_create_xxxx'), /not every supported Node has node_api_create_xxxx/],
	['a symbol of no library', 'linux-arm64-glibc', bytes => withText(bytes, '\0napi_create_function', '\0XXXX_create_function'), /no library is named for XXXX_create_function/],
	['a musl binary that needs glibc', 'linux-x64-musl', bytes => withText(bytes, '\0libc.so\0', '\0libm.so\0'), /it needs libm\.so/],
	['no nodelete', 'linux-x64-glibc', bytes => withDynamicEntry(bytes, 0x6F_FF_FF_FB, 1), /it may be unloaded/],
	['lazy binding', 'linux-x64-musl', bytes => withDynamicEntry(withDynamicEntry(bytes, 0x6F_FF_FF_FB, 8), 30, 0), /symbols are not bound/],
	['another macOS', 'darwin-arm64', bytes => withMinimum(bytes, 14), /it is for macOS 14\.0, not 11\.0/],
	['a page that was changed after it was signed', 'darwin-arm64', bytes => withByte(bytes, 0x50_00, (bytes[0x50_00] ?? 0) ^ 1), /page 5 does not have the hash/],
	['a framework that is not named', 'darwin-x64', bytes => withText(bytes, 'Security.framework/Versions/A/Security', 'Sekurity.framework/Versions/A/Sekurity'), /it needs .*Sekurity/],
	['a function that no Node has', 'darwin-x64', bytes => withText(bytes, '_napi_create_function', '_napi_create_funktion', {each: true}), /_napi_create_funktion is looked for in flat lookup/],
	['an export too many', 'darwin-arm64', bytes => withText(bytes, 'api_register_module_v1', 'api_register_module_v2', {each: true}), /exports napi_register_module_v2/],
	['an import from node.exe', 'win32-x64', bytes => withText(bytes, 'KERNEL32.dll', 'node.exe\0\0\0\0'), /it needs node\.exe/],
	['a C++ library that is not there', 'win32-x64', bytes => withText(bytes, 'KERNEL32.dll', 'libgcc_s.dll'), /it needs libgcc_s\.dll/],
	['frames that skip the guard page', 'linux-x64-glibc', bytes => withBytes(bytes, 'c7042400000000', '90909090909090'), /code makes room for more than a page without touching each/],
	['frames that skip the guard page', 'linux-arm64-glibc', bytes => withBytes(bytes, 'ff0740d1ff0300f9', 'ff0740d11f2003d5'), /code makes room for more than a page without touching each/],
	['returns that are not signed', 'linux-arm64-glibc', bytes => withBytes(bytes, '3f2303d5', '1f2003d5'), /do not sign their return addresses[^]*do not begin with a landing pad/],
	['exports without a landing pad', 'linux-arm64-glibc', bytes => withBytes(bytes, '5f2403d5', '1f2003d5'), /do not begin with a landing pad/],
	['the time of the build', 'win32-x64', bytes => withByte(bytes, secondStampAt(bytes) + 8, 2), /it holds the time[^]*it is not stripped/],
	['another CPU', 'win32-arm64', bytes => withByte(bytes, bytes.readUInt32LE(60) + 4, 0x4C), /it is for machine/],
];

for (const [title, name, damage, finding] of damages) {
	const target = targetNamed(name);
	testWhere(test, [lackOfPrebuild(target)], `${name}: refused with ${title}`, t => {
		t.regex(findingsOf(target, damage(read(target))).join('\n'), finding);
	});
}

/** A copy with other bytes in place of each occurrence, in hexadecimal. */
function withBytes(bytes: Buffer, before: string, after: string): Buffer {
	const [from, to] = [before, after].map(text => Buffer.from(text, 'hex').toString('latin1'));
	return withText(bytes, from!, to!, {each: true});
}

for (const target of targets.filter(({system}) => system === 'linux')) {
	testWhere(test, [lackOfPrebuild(target)], `E6: ${target.name}: the check says which protections the binary has`, t => {
		const {notes} = examine(target, read(target), {nodeApi: nodeApi()});
		t.regex(notes[0] ?? '', /^stack clash protection: /);
		t.is(notes.length, target.arch === 'arm64' ? 2 : 1);
		t.true(target.arch === 'x64' || notes[1]?.startsWith('branch protection: return addresses are signed'), notes[1]);
	});
}

test('E6: a binary of Microsoft\'s linker needs control flow guard; the check says that another has none', t => {
	const check = (delayedLibraries: string[], hasControlFlowGuard: boolean) => {
		const [findings, notes]: [string[], string[]] = [[], []];
		checkControlFlowGuard({delayedLibraries, hasControlFlowGuard}, {
			refuse(isWrong: boolean, finding: string) {
				if (isWrong) {
					findings.push(finding);
				}
			},
			note: (text: string) => notes.push(text),
		});
		return [findings, notes];
	};

	t.deepEqual(check(['node.exe'], true), [[], ['control flow guard']]);
	t.deepEqual(check(['node.exe'], false), [['it has no control flow guard: /guard:cf is missing'], []]);
	t.regex(String(check([], false)[1]), /^no control flow guard: zig's linker has no/);
	t.deepEqual(check([], false)[0], []);
});

const coffLinker = readobj.replace('llvm-readobj', 'lld-link');
const lackOfLinker = [readobj, coffLinker].find(tool => spawnSync(tool, ['--version']).error) ?? (existsSync(zig) ? undefined : 'zig');
testWhere(test, [lackOfLinker && `there is no ${lackOfLinker}`], 'E6: control flow guard is read of a DLL that is linked with and without it', t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-guard-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const make = (tool: string, ...args: string[]) => {
		const {status, stderr} = spawnSync(tool, args, {cwd: directory, encoding: 'utf8'});
		t.is(status, 0, stderr);
	};

	// What Microsoft's C library has in every DLL, where the linker notes the table of functions. 320 bytes; see "Load Configuration Layout" in
	// Microsoft's "PE Format".
	writeFileSync(join(directory, 'config.s'), `
		.section .rdata,"dr"
		.balign 8
		.globl _load_config_used
		_load_config_used:
		.long 320
		.zero 84
		.quad __security_cookie
		.zero 16
		.quad __guard_check_icall_fptr, __guard_dispatch_icall_fptr, __guard_fids_table, __guard_fids_count
		.long __guard_flags
		.zero 172
	`);
	writeFileSync(join(directory, 'library.c'), `
		static void check(void) {}
		void* __guard_check_icall_fptr = (void*)&check;
		void* __guard_dispatch_icall_fptr = (void*)&check;
		unsigned long long __security_cookie = 1;
		__declspec(dllexport) void call(void (**function)(void)) { (*function)(); }
	`);
	const target = ['-target', 'x86_64-windows-msvc'];
	make(zig, 'cc', ...target, '-O1', '-Xclang', '-cfguard', '-fno-stack-protector', '-c', 'library.c', '-o', 'library.o');
	make(zig, 'cc', ...target, '-c', 'config.s', '-o', 'config.o');
	for (const flags of [['/guard:cf'], []]) {
		make(coffLinker, '/dll', '/noentry', ...flags, '/out:made.dll', 'library.o', 'config.o');
		t.is(readPe(readFileSync(join(directory, 'made.dll'))).hasControlFlowGuard, flags.length > 0);
	}
});

/** ELF: another value for a tag of the dynamic segment. */
function withDynamicEntry(bytes: Buffer, tag: number, value: number): Buffer {
	const wanted = Buffer.alloc(8);
	wanted.writeBigUInt64LE(BigInt(tag));
	const copy = Buffer.from(bytes);
	const headers = Number(copy.readBigUInt64LE(32));
	for (let index = 0; index < copy.readUInt16LE(56); index++) {
		const header = headers + (index * 56);
		if (copy.readUInt32LE(header) === 2) {
			const start = Number(copy.readBigUInt64LE(header + 8));
			for (let at = start; at < start + Number(copy.readBigUInt64LE(header + 32)); at += 16) {
				if (copy.subarray(at, at + 8).equals(wanted)) {
					copy.writeBigUInt64LE(BigInt(value), at + 8);
				}
			}
		}
	}

	return copy;
}

/** PE: the offset of the debug entry's time, which equals the header's. */
function secondStampAt(bytes: Buffer): number {
	const first = bytes.readUInt32LE(60) + 8;
	return bytes.indexOf(bytes.subarray(first, first + 4), first + 4);
}

/** Mach-O: another oldest system in LC_BUILD_VERSION. */
function withMinimum(bytes: Buffer, major: number): Buffer {
	const copy = Buffer.from(bytes);
	let at = 32;
	while (copy.readUInt32LE(at) !== 0x32) {
		at += copy.readUInt32LE(at + 4);
	}

	copy.writeUInt32LE(major * 65_536, at + 12);
	return copy;
}

const onLinux = targetNamed('linux-x64-glibc');
testWhere(test, [lackOfPrebuild(onLinux)], 'the command refuses missing files and files of no target, and writes sums of a complete set only', async t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-prebuilds-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	cpSync(join(root, 'scripts'), join(directory, 'scripts'), {recursive: true});
	for (const file of ['binding.gyp', 'test/helpers/keyring/debian-packages.json']) {
		mkdirSync(dirname(join(directory, file)), {recursive: true});
		cpSync(join(root, file), join(directory, file));
	}

	symlinkSync(join(root, 'tools'), join(directory, 'tools'));
	const put = ({file}: Target, from: string) => {
		mkdirSync(dirname(join(directory, 'prebuilds', file)), {recursive: true});
		cpSync(from, join(directory, 'prebuilds', file));
	};

	put(onLinux, prebuildOf(onLinux));
	const check = async (...flags: string[]) => {
		try {
			return {code: 0, ...await run(process.execPath, ['scripts/check-prebuilds.mjs', ...flags], {cwd: directory})};
		} catch (error) {
			return error as {code: number; stdout: string; stderr: string};
		}
	};

	const one = await check('--only', onLinux.name);
	t.is(one.code, 0, one.stdout);
	t.regex(one.stdout, /^linux-x64-glibc +\d+ bytes {2}glibc 2\.1\d +[\da-f]{64}$/m);
	const sums = join(directory, 'prebuilds', 'SHA256SUMS');
	t.false(existsSync(sums));

	writeFileSync(sums, 'of an earlier set');
	const all = await check();
	t.is(all.code, 1);
	t.is(all.stdout.match(/it is missing/g)?.length, targets.length - 1);
	t.false(existsSync(sums));

	writeFileSync(join(directory, 'prebuilds', 'linux-x64', 'other.node'), '');
	t.regex((await check('--only', onLinux.name)).stdout, /prebuilds\/linux-x64\/other\.node: of no target/);

	const unknown = await check('--only', 'beos-ppc');
	t.is(unknown.code, 2);
	t.regex(unknown.stderr, /No such target: beos-ppc\. Targets: linux-x64-glibc, /);
});

type Gyp = {targets: [{defines: string[]; variables: Record<string, string[]>; conditions: Array<[string, Record<string, unknown>]>}]};

test('E6: a build from source and a release have the same compiler flags', t => {
	const text = readFileSync(join(root, 'binding.gyp'), 'utf8').replaceAll(/^\s*#.*$/gm, '');
	const [addon] = (JSON.parse(text) as Gyp).targets;
	const common = addon.variables['compiler_flags'] ?? [];
	t.true(common.includes('-fexceptions') && common.includes('-O3') && common.includes('-fstack-protector-strong') && common.includes('-fvisibility=hidden'));
	t.true(addon.defines.length >= 3);
	// prebuildify reads binding.gyp itself. The other binaries are built without gyp.
	for (const name of ['darwin-x64', 'darwin-arm64', 'win32-x64', 'win32-arm64']) {
		const flags = compilerFlags(targetNamed(name));
		for (const flag of [...common, ...addon.defines.map(define => `-D${define}`)]) {
			t.true(flags.includes(flag), `${name} lacks ${flag}`);
		}
	}

	const settingsOf = (system: string) => addon.conditions.find(([condition]) => condition === `OS=='${system}'`)?.[1] ?? {};
	// Not on macOS and Windows, whose compilers touch each page without being asked, and refuse the flag.
	t.true(addon.variables['linux_compiler_flags']?.includes('-fstack-clash-protection'));
	t.deepEqual(addon.variables['linux_arm64_compiler_flags'], ['-mbranch-protection=standard']);
	t.like(addon.conditions.find(([condition]) => condition === 'OS==\'linux\' and target_arch==\'arm64\'')?.[1], {cflags_cc: ['<@(linux_arm64_compiler_flags)']});
	const {VCCLCompilerTool: compiler, VCLinkerTool: linker} = settingsOf('win')['msvs_settings'] as Record<string, {AdditionalOptions: string[]}>;
	t.true(compiler?.AdditionalOptions.includes('/guard:cf') && linker?.AdditionalOptions.includes('/guard:cf'));
	t.like(settingsOf('linux'), {cflags_cc: ['<@(compiler_flags)', '<@(linux_compiler_flags)', '-isystem', '<(module_root_dir)/<(napi_headers)']});
	t.like(settingsOf('mac'), {xcode_settings: {OTHER_CPLUSPLUSFLAGS: ['<@(compiler_flags)'], MACOSX_DEPLOYMENT_TARGET: '11.0'}});
	t.like(settingsOf('win'), {defines: ['_HAS_EXCEPTIONS=1'], 'defines!': ['_HAS_EXCEPTIONS=0']});
	t.true(compilerFlags(targetNamed('darwin-arm64')).includes('aarch64-macos.11.0'));
});
