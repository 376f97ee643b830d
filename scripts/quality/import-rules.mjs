/**
 * Which folder of `src/` may import which, checked by dependency-cruiser. Type-only imports, `typeof import('./x.js')` and `require`
 * inside a function count like any other import.
 */

/** From the top down. A folder may import itself and every floor below its own; folders of one floor do not import each other. */
const floors = [
	['index.ts', 'index.mts'],
	['credential/', 'cache-api/'],
	['grant/'],
	['lookup/'],
	['cache/'],
	['backend/'],
	['settings/'],
	['runtime/'],
	['errors.ts', 'types.ts'],
];

const pathOf = place => `^src/${place.replaceAll('.', String.raw`\.`)}${place.endsWith('/') ? '' : '$'}`;
const top = floors[0];
const ground = floors.at(-1);

/** @param {string[]} allowed Places that the place may import. */
const floorRule = (place, allowed) => ({
	name: `from ${place}`,
	comment: `May import ${allowed.join(', ')}.`,
	severity: 'error',
	from: {path: pathOf(place)},
	to: {path: '^src/', pathNot: allowed.map(each => pathOf(each))},
});

const floorRules = floors.flatMap((floor, index) => floor.map(place => {
	const isOneModule = floor === top || floor === ground;
	return floorRule(place, [...(isOneModule ? floor : [place]), ...floors.slice(index + 1).flat()]);
}));

/** @type {import('dependency-cruiser').IConfiguration} */
const config = {
	forbidden: [
		...floorRules,
		{
			name: 'no folder outside the table',
			comment: 'Add the folder to the floors in scripts/quality/import-rules.mjs.',
			severity: 'error',
			from: {path: '^src/', pathNot: floors.flat().map(place => pathOf(place))},
			to: {},
		},
		{
			name: 'no circle',
			severity: 'error',
			from: {path: '^src/'},
			to: {circular: true},
		},
		{
			name: 'addon in backend/ only',
			severity: 'error',
			from: {path: '^src/', pathNot: '^src/backend/'},
			to: {path: String.raw`\.node$`},
		},
		{
			name: 'undici in grant/http-client only',
			severity: 'error',
			from: {path: '^src/', pathNot: String.raw`^src/grant/http-client\.ts$`},
			to: {path: '(?:^|/)undici(?:/|$)'},
		},
		{
			name: 'src/ is self-contained',
			comment: 'src/ imports itself, Node and packages, and nothing else of the repository.',
			severity: 'error',
			from: {path: '^src/'},
			to: {dependencyTypes: ['local'], pathNot: ['^src/', 'node_modules']},
		},
		{
			name: 'every import is found',
			severity: 'error',
			from: {path: '^src/'},
			to: {couldNotResolve: true, path: String.raw`^\.`},
		},
	],
	options: {
		doNotFollow: {path: 'node_modules'},
		// Imports that the compiler removes, which are those of types, count.
		tsPreCompilationDeps: true,
		tsConfig: {fileName: 'tsconfig.json'},
	},
};

export default config;
