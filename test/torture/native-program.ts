/** Programs made of the addon's own object files and a `main` of `test/native`, without Node. */

import {execFileSync} from 'node:child_process';
import {existsSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const objects = join(root, 'build', 'Release', 'obj.target', 'azure_shared_token_cache', 'native');

/** Why none can be made; `undefined` if one can. */
export function missingObjects(): string | undefined {
	return process.platform === 'linux' && existsSync(join(objects, 'stores', 'commit.o')) ? undefined : 'the addon\'s object files are missing: npm run build, on Linux';
}

/**
 * @param name Of the source, without `.cc`.
 * @param directory Gets the program.
 * @param others Sources besides, relative to the package.
 * @param without Objects that the program has its own variant of, relative to `native/`, such as `stores/commit.o`.
 * @returns its path.
 */
export function buildProgram(name: string, directory: string, others: readonly string[] = [], without: readonly string[] = []): string {
	const target = join(directory, name);
	// Objects whose source is gone may be left from an earlier build. Only the objects of `addon/` need Node.
	const linked = readdirSync(objects, {recursive: true, encoding: 'utf8'})
		.filter(file => file.endsWith('.o') && !file.startsWith('addon/') && !without.includes(file) && existsSync(join(root, 'native', file.replace(/\.o$/, '.cc'))))
		.map(file => join(objects, file));
	execFileSync(process.env['CXX'] ?? 'g++', [
		'-std=c++17', '-O1', '-Wall', '-Wextra', '-Wshadow', '-Werror', '-I', join(root, 'native'), '-I', join(root, 'test', 'native'), join(root, 'test', 'native', `${name}.cc`), ...others.map(file => join(root, file)), ...linked, '-o', target, '-ldl', '-pthread',
	], {stdio: ['ignore', 'ignore', 'inherit']});
	return target;
}
