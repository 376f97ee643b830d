/**
 * Decides whether a lock file was left behind by a dead process. Its text names the writer, the system knows whether that process lives,
 * and time stamps show the file's age. The addon checks the kernel locks first, and then uses the same rules
 * (`native/io/file_lock_posix.cc`).
 */

import {readFile, readlink, statfs} from 'node:fs/promises';
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

/** @param content The first 128 bytes of the file at most. */
export async function isStale(path: string, info: LockFileInfo, content: Buffer): Promise<boolean> {
	const ageSec = ageOf(path, info);
	const text = content.toString('latin1');

	if (/^[ \t\r\n\0]*$/.test(text)) {
		return ageSec > emptyAgeSec;
	}

	// .NET's text begins with a byte order mark, Go's with a brace. Both hold kernel locks, which end with the process.
	const [, kernelLocked, digits] = /^(\u00EF\u00BB\u00BF|\{)?(\d*)/.exec(text) ?? [];
	const pid = Number(digits);
	const isOfAddon = pid > 0 && text === `${pid}${nativeMarker}`;
	const isExistenceTheLock = !kernelLocked && !isOfAddon && text !== `${pid}${pureMarker}`;
	if (await isDead(pid, info)) {
		return await mayBeShared(path) ? ageSec > deadElsewhereAgeSec : !isExistenceTheLock || ageSec > deadAgeSec;
	}

	return !isOfAddon && ageSec > livingAgeSec;
}

export function isForeignStale(path: string, info: LockFileInfo): boolean {
	return ageOf(path, info) > foreignAgeSec;
}

/** Whether the process with this claim died before it removed the lock file. */
export function isClaimStale(path: string, info: LockFileInfo): boolean {
	return ageOf(path, info) > emptyAgeSec;
}

/** Whether the maker of a private file no longer needs it. */
export async function isAbandoned(path: string, info: LockFileInfo, pid: number): Promise<boolean> {
	// Twice the age: a holder on another machine renews only its lock file, not the private file.
	return await isDead(pid, info) && (!await mayBeShared(path) || secondsSince(info) > 2 * livingAgeSec);
}

export function isSameFile(a: LockFileInfo, b: LockFileInfo): boolean {
	return a.ino === b.ino && (a.dev === b.dev || !isVolumeKnown);
}

/** The greatest age by all clocks. */
function ageOf(path: string, info: LockFileInfo): number {
	const nowMs = performance.now();
	let seen = observations.get(path);
	if (!seen || !isSameFile(seen, info) || seen.mtimeNs !== info.mtimeNs) {
		seen = {...info, sinceMs: nowMs};
		observations.set(path, seen);
	}

	return Math.max((nowMs - seen.sinceMs) / 1000, secondsSince(info));
}

/** The greater of the ages by mtime, which programs can set, and by ctime, which they cannot. Negative: both time stamps are in the future. */
function secondsSince({mtimeNs, ctimeNs}: LockFileInfo): number {
	const nowSec = Date.now() / 1000;
	return Math.max(nowSec - toSeconds(mtimeNs), nowSec - toSeconds(ctimeNs));
}

function toSeconds(nanoseconds: bigint): number {
	return Number(nanoseconds) / 1e9;
}

/** @param info The state of the file that names `pid`. */
async function isDead(pid: number, info: LockFileInfo): Promise<boolean> {
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

	const {state, startSec} = await processOf(pid);
	// A zombie writes nothing any more. A process that started after the last change of the file is another one with the same id.
	return state === 'Z' || state === 'X' || startSec > toSeconds(info.ctimeNs) + 1;
}

/** `startSec`: Unix seconds; 0 if the system does not tell, which only Linux does. */
async function processOf(pid: number): Promise<{state: string; startSec: number}> {
	try {
		const [text, bootSec] = await Promise.all([readFile(`/proc/${pid}/stat`, 'latin1'), bootTime()]);
		// Field 2, the name, is in parentheses and may hold anything; 3 is the state, 22 the start in ticks since boot. Source: proc(5).
		const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
		return {state: fields[0] ?? '', startSec: bootSec + (Number(fields[19]) / ticksPerSecond)};
	} catch {
		// Not Linux, or /proc hides the processes of other users.
		return {state: '', startSec: 0};
	}
}

/** Clock ticks a second in /proc, on every architecture that Node supports. Source: asm-generic/param.h, USER_HZ. */
const ticksPerSecond = 100;

/** Unix seconds. Read each time, because it changes when the clock is set. */
async function bootTime(): Promise<number> {
	return Number(/^btime (\d+)$/m.exec(await readFile('/proc/stat', 'latin1'))?.[1]);
}

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
		return false;
	}

	try {
		const [{type}, namespace] = await Promise.all([statfs(path), readlink('/proc/self/ns/pid')]);
		// The number of the initial PID namespace is fixed. Source: linux/proc_ns.h, PROC_PID_INIT_INO.
		// Where a long has 32 bits, the number may be negative.
		return sharedFileSystems.has(type >>> 0) || namespace !== 'pid:[4026531836]';
	} catch {
		return true;
	}
}
