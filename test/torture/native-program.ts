/** Builds programs from the addon's object files and a `main` in `test/native`, without Node. */

import {execFileSync} from 'node:child_process';
import {existsSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const objects = join(root, 'build', 'Release', 'obj.target', 'azure_shared_token_cache', 'native');

/** The reason why programs cannot be built, or `undefined` if they can. */
export function missingObjects(): string | undefined {
	return process.platform === 'linux' && existsSync(join(objects, 'stores', 'commit.o')) ? undefined : 'the addon\'s object files are missing: npm run build, on Linux';
}

/**
 * @param name Name of the source without `.cc`.
 * @param directory The output folder.
 * @param others Additional sources, relative to the package.
 * @param without Object files that the program replaces, relative to `native/`, such as `stores/commit.o`.
 * @returns the program's path.
 */
export function buildProgram(name: string, directory: string, others: readonly string[] = [], without: readonly string[] = []): string {
	const target = join(directory, name);
	// An earlier build may have left objects without a source. Only the objects of `addon/` need Node.
	const linked = readdirSync(objects, {recursive: true, encoding: 'utf8'})
		.filter(file => file.endsWith('.o') && !file.startsWith('addon/') && !without.includes(file) && existsSync(join(root, 'native', file.replace(/\.o$/, '.cc'))))
		.map(file => join(objects, file));
	execFileSync(process.env['CXX'] ?? 'g++', [
		'-std=c++17', '-O1', '-Wall', '-Wextra', '-Wshadow', '-Werror', '-I', join(root, 'native'), '-I', join(root, 'test', 'native'), join(root, 'test', 'native', `${name}.cc`), ...others.map(file => join(root, file)), ...linked, '-o', target, '-ldl', '-pthread',
	], {stdio: ['ignore', 'ignore', 'inherit']});
	return target;
}
