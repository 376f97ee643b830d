/**
 * Checks the hashes in a Mach-O file's signature, as macOS' kernel does. LLVM's tools write such signatures and do not check them.
 * Source: Apple's open source `cs_blobs.h`.
 */

import {createHash} from 'node:crypto';

const magic = {signature: 0xFA_DE_0C_C0, codeDirectory: 0xFA_DE_0C_02};
const sha256Type = 2;

/**
 * @param {Buffer} bytes The file.
 * @param {number} at The signature's offset in it.
 * @returns {string | undefined} What is wrong with the signature.
 */
export function signatureFault(bytes, at) {
	try {
		return faultAt(bytes, at);
	} catch (error) {
		if (error instanceof RangeError) {
			return 'its signature is cut off';
		}

		throw error;
	}
}

function faultAt(bytes, at) {
	if (bytes.readUInt32BE(at) !== magic.signature) {
		return 'its signature is not one';
	}

	const parts = Array.from({length: Math.min(bytes.readUInt32BE(at + 8), 100)}, (_, index) => at + bytes.readUInt32BE(at + 12 + (index * 8) + 4));
	const directory = parts.findLast(part => bytes.readUInt32BE(part) === magic.codeDirectory);
	if (directory === undefined) {
		return 'its signature has no code directory';
	}

	const hashes = directory + bytes.readUInt32BE(directory + 16);
	const pageCount = bytes.readUInt32BE(directory + 28);
	const codeSize = bytes.readUInt32BE(directory + 32);
	const hashSize = bytes.readUInt8(directory + 36);
	const pageSize = 2 ** bytes.readUInt8(directory + 39);
	if (bytes.readUInt8(directory + 37) !== sha256Type || hashSize !== 32) {
		return 'its signature does not use SHA-256';
	}

	if (codeSize !== at || pageCount !== Math.ceil(codeSize / pageSize)) {
		return 'its signature does not cover the whole file';
	}

	for (let page = 0; page < pageCount; page++) {
		const content = bytes.subarray(page * pageSize, Math.min((page + 1) * pageSize, codeSize));
		if (!createHash('sha256').update(content).digest().equals(bytes.subarray(hashes + (page * hashSize), hashes + ((page + 1) * hashSize)))) {
			return `page ${page} does not have the hash that was signed`;
		}
	}

	return undefined;
}
