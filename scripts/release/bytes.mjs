/** What the readers of binaries share. */

/** A file that is not what its format says. */
export class MalformedBinary extends Error {
	name = 'MalformedBinary';
}

/** Little-endian numbers and text at offsets. Whatever lies outside the file is an error, as it is for a loader. */
export class Bytes {
	/** @param {Buffer} buffer */
	constructor(buffer) {
		this.buffer = buffer;
	}

	get length() {
		return this.buffer.length;
	}

	u8(at) {
		this.#check(at, 1);
		return this.buffer.readUInt8(at);
	}

	u16(at) {
		this.#check(at, 2);
		return this.buffer.readUInt16LE(at);
	}

	u32(at) {
		this.#check(at, 4);
		return this.buffer.readUInt32LE(at);
	}

	u32be(at) {
		this.#check(at, 4);
		return this.buffer.readUInt32BE(at);
	}

	/** As a number: no file of ours is so large that it would not fit. */
	u64(at) {
		this.#check(at, 8);
		return Number(this.buffer.readBigUInt64LE(at));
	}

	slice(at, length) {
		this.#check(at, length);
		return this.buffer.subarray(at, at + length);
	}

	/** Text up to a zero byte. */
	text(at) {
		this.#check(at, 1);
		const end = this.buffer.indexOf(0, at);
		if (end === -1) {
			throw new MalformedBinary(`text at ${at} has no end`);
		}

		return this.buffer.toString('latin1', at, end);
	}

	/** @returns {{value: number, next: number}} An unsigned LEB128, the variable-length number of DWARF and Mach-O. */
	uleb(at) {
		let value = 0;
		let factor = 1;
		for (let next = at; next < at + 10; next++) {
			const byte = this.u8(next);
			value += (byte % 128) * factor;
			factor *= 128;
			if (byte < 128) {
				return {value, next: next + 1};
			}
		}

		throw new MalformedBinary(`number at ${at} has no end`);
	}

	#check(at, length) {
		if (!Number.isSafeInteger(at) || at < 0 || length < 0 || at + length > this.buffer.length) {
			throw new MalformedBinary(`${length} bytes at ${at} are outside of the file`);
		}
	}
}

/** A loop over what a file says its size is: a damaged file must not make it a long one. */
export function checkCount(count, limit, what) {
	if (count > limit) {
		throw new MalformedBinary(`${count} ${what}`);
	}

	return count;
}
