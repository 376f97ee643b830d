/** Writes the encrypted cache of Go on Linux, with its key in the kernel's key service. */

import {spawnSync} from 'node:child_process';
import {createCipheriv, createHmac, randomBytes} from 'node:crypto';
import {debianPython, type Lack, peersFolder} from '../peers/peers.js';

export const header = Buffer.from('{"alg":"dir","enc":"A128CBC-HS256","kid":"123"}').toString('base64url');

export function encrypt(text: string, key: Buffer): string {
	const iv = randomBytes(16);
	const cipher = createCipheriv('aes-128-cbc', key.subarray(16, 32), iv);
	const ciphertext = Buffer.concat([cipher.update(text), cipher.final()]);
	const tag = createHmac('sha256', key.subarray(0, 16)).update(iv).update(ciphertext).update(Buffer.alloc(8)).digest().subarray(0, 16);
	return [header, '', ...[iv, ciphertext, tag].map(part => part.toString('base64url'))].join('.');
}

/** @returns the reason of a failure. */
export function kernelKey(...parameters: string[]): string | undefined {
	const {status, stderr, error} = spawnSync(debianPython, [`${peersFolder}kernel_key.py`, ...parameters], {encoding: 'utf8'});
	return status === 0 ? undefined : error?.message ?? stderr.trim();
}

export function lackOfKernelKeys(): Lack {
	const name = `stc-probe-${process.pid}`;
	const failure = kernelKey('add', name, '00') ?? kernelKey('remove', name);
	return failure && `kernel keyrings are not available: ${failure}`;
}
