/** Tests of the conformance suites that do not run on Windows, and why. A title that no file has any longer is an error. */

const modes = 'Windows has no mode bits';
const links = 'Wine has no symbolic links of Windows';
const kinds = 'there are no FIFOs and devices to make, and Windows numbers its errors otherwise; test/windows asks for a directory';
const numbers = 'Windows numbers its errors otherwise; test/windows asks for its own';
const crowds = 'in Wine a lock file that is being deleted can be opened again, so that a crowd of waiting readers keeps it there; test/windows counts with two';
const names = 'Wine takes the second name of a file that is open away when it is closed, and the stamp changes with that';
const openFiles = 'its other writer deletes or replaces a file that is open, which Windows and Wine refuse';

/** @type {Record<string, Record<string, string>>} Test file -> part of the title -> reason. */
export const leftOut = {
	'backend.test.ts': {
		'a directory, a FIFO and a device are refused at once': kinds,
		'a file that may not be read, and a directory that may not be searched': modes,
		'other failures of the operating system': numbers,
		'symbolic links, and paths that are not ASCII': links,
		'a file that is replaced is seen whole, old or new': openFiles,
		'a fault while reading (Linux alone: needs /proc)': 'it needs /proc',
	},
	'commit.test.ts': {
		'files that were replaced are closed, if not at once (Linux alone: needs /proc)': 'it needs /proc',
		'the cache becomes the owner\'s alone': modes,
		'a cache is made only where that is asked for': modes,
		'a symbolic link stays, and what it leads to is replaced': links,
		'a symbolic link that leads nowhere is not replaced': links,
		'what is no file is refused and left alone': kinds,
		'a directory that is gone is not made again': numbers,
		'sweeps the new cache before it is in place: another try': openFiles,
		'pure: a stamp that is not the expected one': names,
		'both backends at once on one cache: everything arrives': crowds,
		'pure: 20 commits at once in one process all arrive': crowds,
	},
	'locks.test.ts': {
		'the lock file names the process and is the owner\'s alone; release leaves nothing, and may be called again': modes,
		'a lock file that somebody deletes is put back, with the same inode': openFiles,
		'a lock file that somebody replaces is lost, and stays theirs': openFiles,
		'the directory is deleted while we hold': openFiles,
		'a directory that is missing, or no directory': numbers,
		'what is no file is refused and left alone': kinds,
		'a symbolic link is not followed, wherever it leads': links,
		'a directory that must not be written to': modes,
		'a directory that is closed to us while we hold: no error, and nobody waits long for what is left': modes,
	},
};
