// `npm run lint:native` runs clang-tidy over native/. It is not part of `npm test`, because clang-tidy is large. To install it:
// apt-get install clang-tidy

import fs from 'node:fs';
import process from 'node:process';
import {compilerFlags, defineFlags} from './build/addon-flags.mjs';
import {buildAddon} from './build/build.mjs';
import {nativeSources} from './quality/lint.mjs';
import {installPackages} from './lib/npm.mjs';
import {fromRoot} from './lib/paths.mjs';
import {runOrFail} from './lib/run.mjs';
import {step} from './lib/steps.mjs';

const steps = [['npm packages', installPackages], ['addon', buildAddon], ['lint: C++ (clang-tidy)', checkWithClangTidy]];
for (const [name, action] of steps) {
	const {outcome} = await step(name, action);
	if (outcome !== 'passed') {
		process.exitCode = 1;
		break;
	}
}

async function checkWithClangTidy() {
	const {stdout: napi} = await runOrFail(process.execPath, ['--print', 'require(\'node-addon-api\').include_dir']);
	const headers = headerFolder();
	const sources = nativeSources().filter(file => file.endsWith('.cc') && !/_(?:win|mac)\.cc$/.test(file));
	await runOrFail('clang-tidy', [
		'--quiet',
		'--warnings-as-errors=*',
		...sources,
		'--',
		compilerFlags.find(flag => flag.startsWith('-std=')),
		'-Inative',
		`-isystem${napi.trim()}`,
		`-isystem${headers}`,
		...defineFlags,
	]);
}

/** The folder of Node's headers. node-gyp writes it to a JSON file that begins with a comment. */
function headerFolder() {
	const text = fs.readFileSync(fromRoot('build', 'config.gypi'), 'utf8');
	return `${JSON.parse(text.replace(/^#.*$/m, '')).variables.nodedir}/include/node`;
}
