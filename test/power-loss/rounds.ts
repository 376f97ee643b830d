/** Commits to a cache, and power losses in between. */

import {execFile, execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import {
	closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {Disk, type DiskKind} from './disks.js';
import {cacheOf, numberIn} from './record.mjs';

const run = promisify(execFile);
const writer = fileURLToPath(new URL('writer.mjs', import.meta.url));
const cutSource = fileURLToPath(new URL('cut.c', import.meta.url));

export type PowerLossReport = {
	disk: string;
	variant: string;
	powerLosses: number;
	/** Commits that had ended before a power loss. */
	commits: number;
	/** Power losses while a commit was under way. */
	duringCommit: number;
	/** Power losses after which the cache was the newest one that a commit had written. */
	newest: number;
	/** Power losses after which it was an older one. */
	older: number;
	/** Power losses after which the cache was missing, empty or torn: what was found. */
	lost: string[];
};

/** @param variant `native`, `pure`, or `in-place`, which overwrites the file as the other libraries do. */
export async function losePower(kind: DiskKind, variant: string, rounds: number): Promise<PowerLossReport> {
	const directory = mkdtempSync(join(tmpdir(), 'stc-power-'));
	const report: PowerLossReport = {
		disk: kind.name, variant, powerLosses: 0, commits: 0, duringCommit: 0, newest: 0, older: 0, lost: [],
	};
	let disk: Disk | undefined;
	try {
		const cut = join(directory, 'cut');
		execFileSync(process.env['CC'] ?? 'cc', ['-O1', cutSource, '-o', cut]);
		disk = await Disk.make(kind, directory);
		const cachePath = join(disk.folder, 'msal.cache.nocae');
		writeDurably(cachePath, cacheOf(0));
		for (let round = 0; round < rounds; round++) {
			const before = numberIn(readFileSync(cachePath, 'utf8'));
			const {begun, written, ended} = await writeUntilCut(disk, {
				variant, cachePath, cut, before,
			});
			await disk.restart();
			report.powerLosses++;
			report.commits += written - before;
			report.duringCommit += begun > written ? 1 : 0;
			const found = numberAfterLoss(cachePath);
			if (typeof found === 'number' && found >= before && found <= begun) {
				report[found >= written ? 'newest' : 'older']++;
			} else {
				report.lost.push(`${found} (was ${before}, written ${written}, begun ${begun}, ${ended})`);
				writeDurably(cachePath, cacheOf(begun));
			}
		}

		return report;
	} finally {
		await disk?.unmount();
		rmSync(directory, {recursive: true, force: true});
	}
}

function numberAfterLoss(cachePath: string): number | string {
	let text = '';
	try {
		text = readFileSync(cachePath, 'utf8');
		return numberIn(text);
	} catch (error) {
		return `${text.length} characters: ${(error as Error).message.slice(0, 60)}`;
	}
}

type Progress = {begun: number; written: number; ended: string};

async function writeUntilCut(
	disk: Disk,
	{
		variant, cachePath, cut, before,
	}: {variant: string; cachePath: string; cut: string; before: number},
): Promise<Progress> {
	const child = spawn(process.execPath, [writer, JSON.stringify({variant, path: cachePath})], {stdio: ['ignore', 'pipe', 'inherit']});
	const exited = once(child, 'exit');
	const progress: Progress = {begun: before, written: before, ended: ''};
	const lines = createInterface({input: child.stdout});
	let cutting: Promise<unknown> | undefined;
	for await (const line of lines) {
		const [what = '', value] = line.split(' ');
		if (what === 'ended') {
			progress.ended = value ?? '';
		} else {
			progress[what as 'begun' | 'written'] = Number(value);
		}

		// From the first commit on, because starting the writer takes longer than the rest.
		cutting ??= run(cut, [`${disk.folder}/other`, disk.cutFolder, String(disk.randomTime()), String(disk.randomTime())]);
	}

	await exited;
	await cutting;
	return progress;
}

function writeDurably(path: string, text: string): void {
	writeFileSync(path, text, {mode: 0o600});
	for (const each of [path, join(path, '..')]) {
		const file = openSync(each, 'r');
		fsyncSync(file);
		closeSync(file);
	}
}
