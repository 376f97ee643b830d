/**
 * Names that Windows does not take for those of plain files. Source: Microsoft, "Naming Files, Paths, and Namespaces".
 */

/** With any extension, too: `nul.txt` is the device as well. */
const devices = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[\d¹²³])(?:[ .]|$)/i;

/** Characters that no name has. A colon would name an alternate data stream of another file. */
const forbidden = /[<>:"|?*]/;

/** @returns why no file can have this name, or `undefined`. */
export function faultOfWindowsName(name: string): string | undefined {
	if (devices.test(name)) {
		return 'Windows takes it for a device';
	}

	if (forbidden.test(name)) {
		return 'it has a character that Windows does not allow in names';
	}

	return /[ .]$/.test(name) ? 'Windows removes a blank or full stop at its end' : undefined;
}

/**
 * @param path Absolute for `node:path`, which `\cache.json` is, too.
 * @returns why the path does not name one plain file, whatever the current folder is; or `undefined`.
 */
export function faultOfWindowsPath(path: string): string | undefined {
	const [root = ''] = /^(?:[\\/]{2}[?.][\\/](?:[a-z]:|unc[\\/][^\\/]+[\\/][^\\/]+)?|[a-z]:|[\\/]{2}[^\\/]+[\\/][^\\/]+)(?=[\\/])/i.exec(path) ?? [];
	if (root === '') {
		return 'it has no drive and no server';
	}

	for (const name of path.slice(root.length).split(/[\\/]/).filter(each => each !== '' && each !== '.' && each !== '..')) {
		const lack = faultOfWindowsName(name);
		if (lack !== undefined) {
			return `"${name}": ${lack}`;
		}
	}

	return undefined;
}
