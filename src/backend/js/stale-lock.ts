/**
 * Decides whether a lock file was left behind by a dead process. Its text names the writer, the system knows whether that process lives,
 * and time stamps show the file's age. The addon checks the kernel locks first, and then uses the same rules
 * (`native/io/file_lock_posix.cc`).
 */

import {randomBytes} from 'node:crypto';
import {
	open, readdir, readFile, readlink, statfs, unlink,
} from 'node:fs/promises';
import {dirname} from 'node:path';
import {isVolumeKnown} from './cache-file.js';

/** A part of `fs.BigIntStats`. */
export type LockFileInfo = {dev: bigint; ino: bigint; mtimeNs: bigint; ctimeNs: bigint};

/** The text after the process id in a lock file of the addon. The file stays as long as its process lives and holds the lock. */
const nativeMarker = ' msal-shared\n';

/**
 * The text after the process id in a lock file of the JS backend. Differs from the addon's text: the addon expects kernel locks on its own
 * lock files, and would treat one without them as left behind.
 */
export const pureMarker = ' msal-shared-js\n';

// Ages at which a lock file counts as left behind, seconds. `native/io/lock_ages.h` has the same; test/unit/lock-ages.test.ts compares them.
/** An empty file: its writer may be between creating and writing it. */
const emptyAgeSec = 2;
/** The writer is dead: its last writes may not be visible yet. */
const deadAgeSec = 0.25;
/** The process id belongs to no process here, but the writer may live on another machine or in another PID namespace. */
const deadElsewhereAgeSec = 5;
/** The writer lives, or nothing is known about it. A program holds the lock only while it writes a file, but some forget to delete it. */
const livingAgeSec = 60;
/** A file of another user, which cannot be read. */
const foreignAgeSec = 30;

/**
 * The lock files that this process has seen, and since when they are unchanged. Clocks and time stamps can be set, so this observation
 * counts, too.
 */
const observations = new Map<string, LockFileInfo & {sinceMs: number}>();

/** Must be called when the lock file is gone. */
export function forgetObservation(path: string): void {
	observations.delete(path);
}

/**
 * Who may create a lock file. `shared`: every library that shares the cache. `own`: this package alone, so that anything else with the name
 * was left behind by accident or malice.
 */
export type LockUse = 'own' | 'shared';

/** @param content The first 128 bytes of the file at most. */
export async function isStale(path: string, info: LockFileInfo, content: Buffer, use: LockUse): Promise<boolean> {
	const text = content.toString('latin1');
	// Our clock may be wrong. Asks the file system only if it matters, because that costs a file.
	return await isLeftBehind(path, ageOf(path, info, Date.now()), text, use)
		&& isLeftBehind(path, ageOf(path, info, await fileSystemClock(path)), text, use);
}

async function isLeftBehind(path: string, age: LockAge, text: string, use: LockUse): Promise<boolean> {
	if (/^[ \t\r\n\0]*$/.test(text)) {
		return age.longestSec > emptyAgeSec;
	}

	// .NET's text begins with a byte order mark, Go's with a brace. Both hold kernel locks, which end with the process.
	const [, kernelLocked, digits] = /^(\u00EF\u00BB\u00BF|\{)?(\d*)/.exec(text) ?? [];
	const pid = Number(digits);
	const isOfAddon = pid > 0 && text === `${pid}${nativeMarker}`;
	const isPure = pid > 0 && text === `${pid}${pureMarker}`;
	// Nobody else has a reason to create it.
	if (use === 'own' && !isOfAddon && !isPure) {
		return true;
	}

	const isExistenceTheLock = !kernelLocked && !isOfAddon && !isPure;
	if (await isDead(pid, age.changedSec)) {
		return await mayBeShared(path) ? age.longestSec > deadElsewhereAgeSec : !isExistenceTheLock || age.longestSec > deadAgeSec;
	}

	return !isOfAddon && age.longestSec > livingAgeSec;
}

export async function isForeignStale(path: string, info: LockFileInfo): Promise<boolean> {
	return ageOf(path, info, Date.now()).longestSec > foreignAgeSec
		&& ageOf(path, info, await fileSystemClock(path)).longestSec > foreignAgeSec;
}

/** Whether the process with this claim died before it removed the lock file. */
export function isClaimStale(path: string, info: LockFileInfo): boolean {
	return ageOf(path, info, Date.now()).longestSec > emptyAgeSec;
}

/**
 * Whether the maker of a private file no longer needs it.
 *
 * @param lockPath The lock file to which it belongs.
 */
export async function isAbandoned(path: string, info: LockFileInfo, pid: number, lockPath: string): Promise<boolean> {
	if (!await isDead(pid, changedSec(info, Date.now()))) {
		return false;
	}

	const nowMs = await fileSystemClock(lockPath);
	// Twice the age: a holder on another machine renews only its lock file, not the private file.
	return await isDead(pid, changedSec(info, nowMs)) && (!await mayBeShared(path) || writtenSec(info, nowMs) > 2 * livingAgeSec);
}

export function isSameFile(a: LockFileInfo, b: LockFileInfo): boolean {
	return a.ino === b.ino && (a.dev === b.dev || !isVolumeKnown);
}

/** Seconds. `longestSec`: the greatest by all clocks. `changedSec`: since the last change, which programs cannot set. */
type LockAge = {longestSec: number; changedSec: number};

/** @param nowMs By the clock of the file system, or by ours. */
function ageOf(path: string, info: LockFileInfo, nowMs: number): LockAge {
	const monotonicMs = performance.now();
	let seen = observations.get(path);
	if (!seen || !isSameFile(seen, info) || seen.mtimeNs !== info.mtimeNs) {
		seen = {...info, sinceMs: monotonicMs};
		observations.set(path, seen);
	}

	return {longestSec: Math.max((monotonicMs - seen.sinceMs) / 1000, writtenSec(info, nowMs)), changedSec: changedSec(info, nowMs)};
}

/** The greater of the ages by mtime, which programs can set, and by ctime, which they cannot. Negative: both time stamps are in the future. */
function writtenSec(info: LockFileInfo, nowMs: number): number {
	return Math.max((nowMs / 1000) - toSeconds(info.mtimeNs), changedSec(info, nowMs));
}

function changedSec({ctimeNs}: LockFileInfo, nowMs: number): number {
	return (nowMs / 1000) - toSeconds(ctimeNs);
}

/** How far the clocks that stamp the files of folders are ahead of ours, milliseconds. An answer costs a file, and is good for a second. */
const clockOffsets = new Map<string, {offset: Promise<number>; atMs: number}>();

/**
 * The time by the clock that stamps the files beside a path, Unix milliseconds. It may be the clock of a server, and ours may be wrong. If no
 * file can be created there, our time.
 */
async function fileSystemClock(path: string): Promise<number> {
	const folder = dirname(path);
	let measured = clockOffsets.get(folder);
	if (!measured || performance.now() - measured.atMs > 1000) {
		measured = {offset: measureOffset(path), atMs: performance.now()};
		clockOffsets.set(folder, measured);
	}

	return await measured.offset + Date.now();
}

async function measureOffset(path: string): Promise<number> {
	const fresh = `${path}.${process.pid}.${randomBytes(6).toString('hex')}.js`;
	try {
		const file = await open(fresh, 'wx', 0o600);
		try {
			const {mtimeMs} = await file.stat();
			return mtimeMs - Date.now();
		} finally {
			await file.close();
			await unlink(fresh);
		}
	} catch {
		return 0;
	}
}

function toSeconds(nanoseconds: bigint): number {
	return Number(nanoseconds) / 1e9;
}

/** @param changedSec The age of the file that names `pid`. Compares ages: the clock that stamps the file may be another one than that of processes. */
async function isDead(pid: number, changedSec: number): Promise<boolean> {
	// `kill` treats 0 as a process group, and process ids are smaller than this.
	if (pid < 1 || pid > 0x7F_FF_FF_FF) {
		return false;
	}

	try {
		process.kill(pid, 0);
	} catch (error) {
		// EPERM: the process lives, and belongs to another user.
		return (error as NodeJS.ErrnoException).code === 'ESRCH';
	}

	const found = await processOf(pid);
	// A zombie writes nothing any more. A process that is younger than the last change of the file is another one with the same id.
	return found !== undefined && (found.state === 'Z' || found.state === 'X' || (found.lifetimeSec >= 0 && found.lifetimeSec + 1 < changedSec));
}

/** @returns `undefined` if the system does not tell, which only Linux does. */
async function processOf(pid: number): Promise<{state: string; lifetimeSec: number} | undefined> {
	try {
		const [text, own, uptime] = await Promise.all([`/proc/${pid}/stat`, '/proc/self/stat', '/proc/uptime'].map(async path => readFile(path, 'latin1')));
		const [state, startSec] = stateOf(text ?? '');
		// The second one, because some containers tell how long they run themselves.
		const nowSec = Math.max(Number.parseFloat(uptime ?? ''), stateOf(own ?? '')[1] + process.uptime());
		return {state, lifetimeSec: nowSec - startSec};
	} catch {
		// Not Linux, or /proc hides the processes of other users.
		return undefined;
	}
}

/** The state of a process, and when it was started: seconds since the machine was. */
function stateOf(text: string): [state: string, startSec: number] {
	// Field 2, the name, is in parentheses and may hold anything; 3 is the state, 22 the start in ticks. Source: proc(5).
	const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
	return [fields[0] ?? '', Number(fields[19]) / ticksPerSecond];
}

/** Clock ticks a second in /proc, on every architecture that Node supports. Source: asm-generic/param.h, USER_HZ. */
const ticksPerSecond = 100;

/** Types of file systems that other machines may have mounted. Source: linux/magic.h, and the kernel's sources of cifs, ceph and virtiofs. */
const sharedFileSystems = new Set([
	0x69_69, // NFS
	0x51_7B, // SMB
	0xFF_53_4D_42, // CIFS
	0xFE_53_4D_42, // SMB2
	0x65_73_55_46, // FUSE
	0x01_02_19_97, // 9P
	0x00_C3_64_00, // Ceph
	0x6A_65_6A_63, // virtiofs
]);

/** Whether processes on other machines or in other PID namespaces may use this directory: this process cannot see them. */
async function mayBeShared(path: string): Promise<boolean> {
	if (process.platform !== 'linux') {
		// On macOS, Linux containers run in a virtual machine that mounts folders of this one.
		return process.platform === 'darwin';
	}

	try {
		const [{type}, namespace] = await Promise.all([statfs(path), readlink('/proc/self/ns/pid')]);
		// The number of the initial PID namespace is fixed. Source: linux/proc_ns.h, PROC_PID_INIT_INO.
		// Where a long has 32 bits, the number may be negative.
		return sharedFileSystems.has(type >>> 0) || namespace !== 'pid:[4026531836]' || await mayHaveInnerNamespaces();
	} catch {
		return true;
	}
}

let innerNamespaces: {answer: Promise<boolean>; atMs: number} | undefined;

/** As {@link hasInnerNamespaces}, looked up once a second at most, because waiting processes ask again and again. */
async function mayHaveInnerNamespaces(): Promise<boolean> {
	if (!innerNamespaces || performance.now() - innerNamespaces.atMs > 1000) {
		innerNamespaces = {answer: hasInnerNamespaces(), atMs: performance.now()};
	}

	return innerNamespaces.answer;
}

/** Whether this machine runs processes in PID namespaces within ours: their ids mean nothing here. */
async function hasInnerNamespaces(): Promise<boolean> {
	const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name));
	let seesFirst = false;
	const areInner = await Promise.all(pids.map(async pid => {
		try {
			const status = await readFile(`/proc/${pid}/status`, 'latin1');
			seesFirst ||= pid === '1';
			// A process has one id in each namespace that it is in. Source: proc(5).
			return /^NSpid:\t\d+\t/m.test(status);
		} catch {
			// The process has ended, or the files of other users are hidden.
			return false;
		}
	}));
	return !seesFirst || areInner.includes(true);
}
