/**
 * Whether a lock file in the way was left behind, as far as Node can tell: its text names the writer, the system knows whether that
 * lives, and time stamps tell how long it has been so. The addon asks the kernel first, and then goes by the same rules
 * (`native/io/file_lock_posix.cc`).
 */

import {readFile, readlink, statfs} from 'node:fs/promises';
import {isVolumeKnown} from './cache-file.js';

/** As `fs.BigIntStats`, of which it is a part. */
export type LockFileInfo = {dev: bigint; ino: bigint; mtimeNs: bigint; ctimeNs: bigint};

/** What follows the process id in a lock file that the addon made. It stays as long as the process lives and wants it. */
const nativeMarker = ' msal-shared\n';

/**
 * What follows the process id in one that we make. Not the addon's: it would miss the kernel locks that its own lock files carry, and
 * take ours for left behind.
 */
export const pureMarker = ' msal-shared-js\n';

// Ages at which a lock file counts as left behind, seconds.
/** Its writer may be between creating and writing it. */
const emptyAgeSec = 2;
/** The writer is dead, and held the lock by the file's existence: time for its last steps to be seen. */
const deadAgeSec = 0.25;
/** The writer is dead here, and may live where we do not see it. */
const deadElsewhereAgeSec = 5;
/** The writer lives, or there is no telling. No peer holds longer than it takes to write a file, but some forget the file and live on. */
const livingAgeSec = 60;
/** A file of another user, which cannot be looked into. */
const foreignAgeSec = 30;

/**
 * Lock files that were found in the way, and since when they are as they are. Wall clocks can be set, and time stamps be written at
 * will; what this process has seen counts besides.
 */
const observations = new Map<string, LockFileInfo & {sinceMs: number}>();

/** To be called when the lock file is gone. */
export function forgetObservation(path: string): void {
	observations.delete(path);
}

/** @param content What the file begins with, 128 bytes at most. */
export async function isStale(path: string, info: LockFileInfo, content: Buffer): Promise<boolean> {
	const ageSec = ageOf(path, info);
	const text = content.toString('latin1');

	if (/^[ \t\r\n\0]*$/.test(text)) {
		return ageSec > emptyAgeSec;
	}

	// .NET begins with a byte order mark, Go with a brace: both hold by kernel locks, which end with the process.
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

/** Whether whoever removes a lock file under this name died over it. */
export function isClaimStale(path: string, info: LockFileInfo): boolean {
	return ageOf(path, info) > emptyAgeSec;
}

/** Whether the maker of a private file will not come back for it. */
export async function isAbandoned(path: string, info: LockFileInfo, pid: number): Promise<boolean> {
	// Twice the age, because a holder elsewhere shows that it lives by its lock file alone.
	return await isDead(pid, info) && (!await mayBeShared(path) || secondsSince(info) > 2 * livingAgeSec);
}

export function isSameFile(a: LockFileInfo, b: LockFileInfo): boolean {
	return a.ino === b.ino && (a.dev === b.dev || !isVolumeKnown);
}

/** By the greatest of all clocks. */
function ageOf(path: string, info: LockFileInfo): number {
	const nowMs = performance.now();
	let seen = observations.get(path);
	if (!seen || !isSameFile(seen, info) || seen.mtimeNs !== info.mtimeNs) {
		seen = {...info, sinceMs: nowMs};
		observations.set(path, seen);
	}

	return Math.max((nowMs - seen.sinceMs) / 1000, secondsSince(info));
}

/** Since the later of what anybody can write and what nobody can. Negative: a time stamp in the future. */
function secondsSince({mtimeNs, ctimeNs}: LockFileInfo): number {
	const nowSec = Date.now() / 1000;
	return Math.max(nowSec - toSeconds(mtimeNs), nowSec - toSeconds(ctimeNs));
}

function toSeconds(nanoseconds: bigint): number {
	return Number(nanoseconds) / 1e9;
}

/** @param info Of the file that names `pid`. */
async function isDead(pid: number, info: LockFileInfo): Promise<boolean> {
	// 0 would be a whole process group, and no process has a number beyond these.
	if (pid < 1 || pid > 0x7F_FF_FF_FF) {
		return false;
	}

	try {
		process.kill(pid, 0);
	} catch (error) {
		// Otherwise EPERM: somebody else's.
		return (error as NodeJS.ErrnoException).code === 'ESRCH';
	}

	const {state, startSec} = await processOf(pid);
	// A zombie writes nothing any more. Who began after the file was last touched is another one with the same number.
	return state === 'Z' || state === 'X' || startSec > toSeconds(info.ctimeNs) + 1;
}

/** `startSec`: Unix seconds; 0 where the system does not tell, which is everywhere but on Linux. */
async function processOf(pid: number): Promise<{state: string; startSec: number}> {
	try {
		const [text, bootSec] = await Promise.all([readFile(`/proc/${pid}/stat`, 'latin1'), bootTime()]);
		// Field 2, the name, is in parentheses and may hold anything; 3 is the state, 22 the start in ticks since boot. Source: proc(5).
		const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
		return {state: fields[0] ?? '', startSec: bootSec + (Number(fields[19]) / ticksPerSecond)};
	} catch {
		// No such system, or a /proc that hides the processes of others.
		return {state: '', startSec: 0};
	}
}

/** Of times that Linux shows to programs, on every architecture that Node supports. Source: asm-generic/param.h, USER_HZ. */
const ticksPerSecond = 100;

/** Unix seconds. Asked for anew each time: it moves with the wall clock. */
async function bootTime(): Promise<number> {
	return Number(/^btime (\d+)$/m.exec(await readFile('/proc/stat', 'latin1'))?.[1]);
}

/** File systems that other machines may have mounted. Source: linux/magic.h, and the kernel's sources of cifs, ceph and virtiofs. */
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

/** Whether processes that we cannot see may use this directory: those of another machine, or of another pid namespace. */
async function mayBeShared(path: string): Promise<boolean> {
	if (process.platform !== 'linux') {
		return false;
	}

	try {
		const [{type}, namespace] = await Promise.all([statfs(path), readlink('/proc/self/ns/pid')]);
		// The first namespace's number is fixed. Source: linux/proc_ns.h, PROC_PID_INIT_INO.
		// Where a long has 32 bits, the number may be negative.
		return sharedFileSystems.has(type >>> 0) || namespace !== 'pid:[4026531836]';
	} catch {
		return true;
	}
}
