/** File systems in image files that can be cut off at any moment, as by a power loss. Linux and root only. */

import {execFile, execFileSync} from 'node:child_process';
import {
	closeSync, fsyncSync, mkdirSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, writeSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';

const run = promisify(execFile);

export type DiskKind = {
	name: string;
	/** Of `mkfs`. */
	fileSystem: 'btrfs' | 'ext4' | 'xfs';
	mountOptions?: string;
	/**
	 * What is cut off. `file system`: the file system itself forgets what it has not written (FS_IOC_SHUTDOWN). `disk`: the image lies on an
	 * XFS that is cut off, so that the disk forgets what was written to it and not flushed, too; for file systems without that call.
	 */
	cut: 'disk' | 'file system';
	/** The longest time until the cut, milliseconds. */
	longestMs: number;
};

export const diskKinds: readonly DiskKind[] = [
	{
		name: 'xfs', fileSystem: 'xfs', cut: 'file system', longestMs: 150,
	},
	{
		name: 'ext4', fileSystem: 'ext4', cut: 'file system', longestMs: 150,
	},
	{
		// Without the option, ext4 writes the data of a file before a rename over another one, but only then.
		name: 'ext4 without auto_da_alloc', fileSystem: 'ext4', mountOptions: 'noauto_da_alloc', cut: 'file system', longestMs: 150,
	},
	{
		// Writes its metadata each second instead of every 30 s.
		name: 'btrfs', fileSystem: 'btrfs', mountOptions: 'commit=1', cut: 'disk', longestMs: 1500,
	},
];

const imageBytes = {btrfs: 128 * 1024 * 1024, ext4: 32 * 1024 * 1024, xfs: 320 * 1024 * 1024} as const;

/** Why file systems cannot be made and cut off here, or `undefined`. */
export function lackOfDisk({fileSystem, cut}: DiskKind): string | undefined {
	if (process.platform !== 'linux' || process.getuid?.() !== 0) {
		return 'mounts need root on Linux; run as root';
	}

	const directory = mkdtempSync(join(tmpdir(), 'stc-disk-'));
	try {
		for (const each of new Set([fileSystem, ...(cut === 'disk' ? ['xfs' as const] : [])])) {
			const image = join(directory, each);
			writeFileSync(image, '');
			truncateSync(image, imageBytes[each]);
			try {
				execFileSync(`mkfs.${each}`, ['-q', image], {stdio: 'ignore'});
			} catch {
				return `there is no mkfs.${each}; run: apt-get install --no-install-recommends btrfs-progs e2fsprogs xfsprogs`;
			}

			const folder = `${image}.mounted`;
			mkdirSync(folder);
			try {
				execFileSync('mount', ['-o', 'loop', image, folder], {stdio: 'ignore'});
				execFileSync('umount', [folder], {stdio: 'ignore'});
			} catch {
				return `${each} cannot be mounted here from a file; run as root, on a kernel that has it, outside of a container`;
			}
		}

		return undefined;
	} finally {
		rmSync(directory, {recursive: true, force: true});
	}
}

/** A disk with one file system. */
export class Disk {
	static async make(kind: DiskKind, directory: string): Promise<Disk> {
		const disk = new Disk(kind, directory);
		for (const {image, folder, options} of disk.#mounts) {
			const fileSystem = folder === disk.folder ? kind.fileSystem : 'xfs';
			mkdirSync(folder);
			// With real blocks: those of a sparse file would be a part of what the disk forgets.
			writeZeros(image, imageBytes[fileSystem]);
			await run(`mkfs.${fileSystem}`, ['-q', image]);
			await run('mount', ['-o', options, image, folder]);
		}

		return disk;
	}

	/** Where the file system is mounted. */
	readonly folder: string;
	/** In the file system that {@link cut} cuts off. */
	readonly cutFolder: string;
	readonly #kind: DiskKind;
	readonly #mounts: ReadonlyArray<{image: string; folder: string; options: string}>;

	private constructor(kind: DiskKind, directory: string) {
		this.#kind = kind;
		const outer = {image: join(directory, 'outer.img'), folder: join(directory, 'outer'), options: 'loop'};
		const isNested = kind.cut === 'disk';
		const inner = {
			image: join(isNested ? outer.folder : directory, 'inner.img'),
			folder: join(directory, 'inner'),
			options: ['loop', kind.mountOptions].filter(Boolean).join(','),
		};
		this.folder = inner.folder;
		this.cutFolder = isNested ? outer.folder : inner.folder;
		this.#mounts = isNested ? [outer, inner] : [inner];
	}

	/** Mounts again what was cut off, as after the start of a machine. */
	async restart(): Promise<void> {
		await this.unmount();
		for (const {image, folder, options} of this.#mounts) {
			await run('mount', ['-o', options, image, folder]);
		}
	}

	async unmount(): Promise<void> {
		for (const {folder} of this.#mounts.toReversed()) {
			await unmount(folder);
		}
	}

	/** A random time, microseconds. */
	randomTime(): number {
		return Math.floor(Math.random() * this.#kind.longestMs * 1000);
	}
}

/** Repeated: the kernel may still be ending the work of a process that had files open. */
async function unmount(folder: string): Promise<void> {
	for (let tries = 1; ; tries++) {
		try {
			await run('umount', [folder]);
			return;
		} catch (error) {
			const {stderr = ''} = error as {stderr?: string};
			if (stderr.includes('not mounted')) {
				return;
			}

			if (tries === 300) {
				throw error;
			}

			await sleep(200);
		}
	}
}

function writeZeros(path: string, bytes: number): void {
	const file = openSync(path, 'w');
	const zeros = Buffer.alloc(1024 * 1024);
	for (let done = 0; done < bytes; done += zeros.length) {
		writeSync(file, zeros);
	}

	fsyncSync(file);
	closeSync(file);
}
