/** What the compiler's protections leave in the machine code of a library for Linux. */

/** The size of a page. A frame that is larger may skip the page that guards the end of the stack. */
const page = 0x10_00;

/** x64: `sub rsp, n`, and `mov qword ptr [rsp], 0`, which touches the page. */
const x64 = {allocate: Buffer.from([0x48, 0x81, 0xEC]), touch: Buffer.from([0x48, 0xC7, 0x04, 0x24, 0, 0, 0, 0])};

/** arm64: `str xzr, [sp]`. */
const arm64Touch = 0xF9_00_03_FF;

/** arm64: the first instructions of functions that may be called through a pointer, and the last one of those that sign their return address. */
const bti = 0xD5_03_24_5F;
const paciasp = 0xD5_03_23_3F;
const autiasp = 0xD5_03_23_BF;

/**
 * Looks for `-fstack-clash-protection`: code that makes room for more than a page has to touch each page.
 *
 * @param {string} arch
 * @param {Buffer} code
 * @returns {{probed: number, unprobed: number}} How many times code makes room for a page or more, with and without a touch.
 */
export function largeFramesOf(arch, code) {
	const touches = arch === 'arm64' ? arm64Frames(code) : x64Frames(code);
	const probed = touches.filter(Boolean).length;
	return {probed, unprobed: touches.length - probed};
}

function x64Frames(code) {
	const touches = [];
	for (let at = code.indexOf(x64.allocate); at !== -1 && at + 7 <= code.length; at = code.indexOf(x64.allocate, at + 1)) {
		const size = code.readUInt32LE(at + 3);
		// The same bytes in another instruction or in a table are followed by other sizes.
		if (size >= page && size <= 0x1_00_00_00 && size % 8 === 0) {
			touches.push(size === page && code.subarray(at + 7, at + 7 + x64.touch.length).equals(x64.touch));
		}
	}

	return touches;
}

function arm64Frames(code) {
	const touches = [];
	for (let at = 0; at + 4 <= code.length; at += 4) {
		const word = code.readUInt32LE(at);
		// `sub sp, sp, #n, lsl #12`: n pages.
		if (((word & 0xFF_C0_03_FF) >>> 0) === 0xD1_40_03_FF) {
			const pages = (word >>> 10) & 0xF_FF;
			// In a loop, a comparison comes between.
			touches.push(pages === 1 && [4, 8].some(distance => at + distance + 4 <= code.length && code.readUInt32LE(at + distance) === arm64Touch));
		}
	}

	return touches;
}

/**
 * Looks for `-mbranch-protection=standard` of arm64.
 *
 * @param {Buffer} code
 * @param {Array<number | undefined>} entries Offsets of exported functions in the code.
 * @returns {{hasLandingPads: boolean, signsReturns: boolean}}
 */
export function branchProtectionOf(code, entries) {
	const wordAt = at => at !== undefined && Number.isSafeInteger(at) && at >= 0 && at + 4 <= code.length ? code.readUInt32LE(at) : undefined;
	let signed = 0;
	let checked = 0;
	for (let at = 0; at + 4 <= code.length; at += 4) {
		const word = code.readUInt32LE(at);
		signed += word === paciasp ? 1 : 0;
		checked += word === autiasp ? 1 : 0;
	}

	return {hasLandingPads: entries.every(at => [bti, paciasp].includes(wordAt(at))), signsReturns: signed > 0 && checked > 0};
}
