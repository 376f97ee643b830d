/**
 * Tests of the conformance suites that do not run on Windows, with the reason. A title that no longer exists is an
 * error.
 */

const modes = 'Windows has no mode bits';
const links = 'Wine does not support symbolic links of Windows';
const kinds = 'FIFOs and devices cannot be created, and Windows has other error numbers; test/windows tests a directory';
const numbers = 'Windows has other error numbers; test/windows tests them';
const crowds = 'in Wine a lock file that is being deleted can be opened again, so many waiting readers keep it alive; test/windows uses two';
const names = 'Wine removes the second name of an open file when it is closed, which changes the stamp';
const openFiles = 'its other writer deletes or replaces an open file, which Windows and Wine refuse';

/** @type {Record<string, Record<string, string>>} Test file -> part of the title -> reason. */
export const leftOut = {
	'backend.test.ts': {
		'refuses a directory, a FIFO and a device at once': kinds,
		'reports a file or a directory without read permission': modes,
		'reports other errors of the operating system': numbers,
		'follows symbolic links and accepts non-ASCII paths': links,
		'reads a file that is being replaced as a whole, old or new': openFiles,
		'reports a read error (Linux only: needs /proc)': 'it needs /proc',
	},
	'commit.test.ts': {
		'replaced files are closed after a while (Linux only: needs /proc)': 'it needs /proc',
		'a written cache is accessible to its owner only': modes,
		'creates a cache only on request': modes,
		'keeps a symbolic link and replaces its target': links,
		'does not replace a dangling symbolic link': links,
		'refuses anything but a regular file and leaves it unchanged': kinds,
		'does not recreate a deleted directory': numbers,
		'deletes the temporary file before the rename: the commit is retried': openFiles,
		'pure: does not write if the stamp differs from the expected one': names,
		'concurrent commits of both backends to one cache are all written': crowds,
		'pure: 20 concurrent commits in one process are all written': crowds,
	},
	'locks.test.ts': {
		'the lock file contains the process ID and is accessible to its owner only; release removes it and may be repeated': modes,
		'restores a lock file that another program deletes, with the same inode': openFiles,
		'a lock file that another program replaces is lost and not deleted': openFiles,
		'handles the deletion of the directory while it holds the lock': openFiles,
		'reports a missing directory and a path below a file': numbers,
		'refuses anything but a regular file and leaves it unchanged': kinds,
		'does not follow a symbolic link, wherever it leads': links,
		'reports a directory without write permission': modes,
		'if the directory becomes inaccessible while it holds the lock, there is no error, and nobody waits long for the remaining file': modes,
	},
};
