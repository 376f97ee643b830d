/** LLVM's readers of binaries: llvm-readobj and llvm-objdump. */

import {spawnSync} from 'node:child_process';

/** The reader did not understand the file. */
export class UnreadableBinary extends Error {
	name = 'UnreadableBinary';
}

/** No file of ours takes a reader this long, milliseconds. A damaged one may. */
const timeoutMs = 20_000;

/**
 * @param {string} tool
 * @param {string[]} args
 * @param {Buffer} bytes The file.
 * @returns {{text: string, complaint: string | undefined}} What the reader printed, and its first warning or error.
 * @throws {UnreadableBinary} if the reader crashes or takes too long. @throws {Error} if the reader is not installed.
 */
export function readWith(tool, args, bytes) {
	const {error, signal, status, stdout, stderr} = spawnSync(tool, [...args, '-'], {
		input: bytes, encoding: 'utf8', timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024,
	});
	if (error?.code === 'ENOENT') {
		throw new Error(`There is no ${tool}. Install Debian's package llvm-19.`);
	}

	if (error && !['EPIPE', 'ETIMEDOUT'].includes(error.code)) {
		throw new UnreadableBinary(error.message);
	}

	if (signal) {
		throw new UnreadableBinary(`${tool} ended with ${signal}`);
	}

	const complaint = stderr.split('\n').find(line => line.trim() !== '');
	return {text: stdout, complaint: complaint ?? (status === 0 ? undefined : `${tool} ended with ${status}`)};
}
