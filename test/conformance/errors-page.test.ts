/** Provokes every case of an error, and compares the texts with docs/errors.md. `UPDATE_ERRORS_PAGE=1` writes the page instead. */

import {readFileSync, writeFileSync} from 'node:fs';
import {basename} from 'node:path';
import process from 'node:process';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {maxErrorTextLength, oneLine} from '../../dist/errors.js';
import {readText} from '../helpers/docs/markdown.js';
import {type ErrorCase, errorCases} from '../helpers/errors/cases.js';
import {TestHome} from '../helpers/home.js';
import {missingKeyring} from '../helpers/keyring/keyring.js';

type Provoked = {name: string; code: string; message: string; errorResponse?: object; details?: ReadonlyArray<{place: string; text: string}>};

// The length of a path decides where a text is cut.
process.env['TMPDIR'] = '/tmp';

const page = new URL('../../docs/errors.md', import.meta.url);
const root = fileURLToPath(new URL('../../', import.meta.url));
const missing = process.platform === 'linux' ? missingKeyring() : 'the texts of the system are those of Linux';
const codes = /^export type ErrorCode =\n(?<codes>(?:\t.*\n)+)/m.exec(readText('src/errors.ts'))!.groups!['codes']!.match(/STC_\w+/g)!;
const chains: Readonly<Record<string, string>> = {
	CredentialUnavailableError: 'goes on',
	AuthenticationRequiredError: 'goes on',
	AuthenticationError: 'stops',
	TypeError: 'stops',
	Error: 'stops',
	StoreError: 'none',
};

/** Replaces what differs between runs and machines. */
function settled(text: string, home: string): string {
	return text
		.replaceAll(home, '/home/ann')
		// A path that was shortened.
		.replaceAll(basename(home), 'ann')
		.replaceAll(/\/tmp\/stc-keyring-[^/\s]+/g, '/home/ann')
		.replaceAll(root, '/app/')
		.replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:8443')
		.replaceAll(/(?<=correlation id )[\da-f-]{36}/gi, '<id>')
		.replaceAll(/(?<=Trace ID: )[\da-f-]{36}/gi, '<id>')
		.replaceAll(/(?<=Correlation ID: )[\da-f-]{36}/gi, '<id>')
		.replaceAll(/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\dZ/g, '<time>')
		.replaceAll(/(?<=process )\d+/gi, '4711')
		.replaceAll(/linux-(?:x64|arm64) \((?:glibc|musl)\)/g, 'linux-x64 (glibc)');
}

const provoked = new Map<ErrorCase, Provoked>();

for (const errorCase of errorCases.filter(({isImpossible}) => !isImpossible)) {
	const {code, when, provoke} = errorCase;
	(missing ? test.serial.skip : test.serial)(`${code} when ${when}${missing ? ` (skipped: ${missing})` : ''}`, async t => {
		const home = new TestHome(t);
		const error = await provoke(t, home).then(() => t.fail('no error'), (error_: unknown) => error_ as Provoked);
		t.is(error.code, code, error.message);
		t.true(error.message.length <= maxErrorTextLength, error.message);
		t.is(error.message, oneLine(error.message));
		t.notRegex(error.message, /FAKE-/);
		t.notRegex(JSON.stringify(error.details ?? []), /FAKE-/);
		// What others say comes last, and may be cut.
		t.regex(error.message, error.errorResponse ? /[.)…]$/ : /[.?)]$/, 'a text that was not cut');
		provoked.set(errorCase, {...error, name: error.name, message: settled(error.message, home.path)});
	});
}

test('every code has a case', t => {
	const cases = new Set<string>(errorCases.map(({code}) => code));
	t.deepEqual(codes.filter(code => !cases.has(code)), []);
});

/** Lines of at most 100 columns. */
function wrapped(text: string): string[] {
	const lines = [''];
	for (const word of text.split(' ')) {
		const last = lines.length - 1;
		if (lines[last] !== '' && lines[last]!.length + word.length >= 100) {
			lines.push(word);
		} else {
			lines[last] += lines[last] === '' ? word : ` ${word}`;
		}
	}

	return lines;
}

function markdown(): string {
	const used = codes.filter(code => [...provoked.keys()].some(each => each.code === code));
	const namesOf = (code: string) => [...new Set([...provoked].filter(([each]) => each.code === code).map(([, {name}]) => name))];
	const rows = used.map(code => `| [\`${code}\`](#${code.toLowerCase()}) | ${namesOf(code).map(name => `\`${name}\``).join(', ')} | ${[...new Set(namesOf(code).map(name => chains[name]!))].toSorted((a, b) => a.localeCompare(b)).join(', ')} |`);
	const sections = used.map(code => {
		const cases = [...provoked].filter(([each]) => each.code === code);
		return `## ${code}\n\n${cases.map(([{when}, {message}]) => `When ${when}:\n\n\`\`\`text\n${wrapped(message).join('\n')}\n\`\`\``).join('\n\n')}`;
	});
	return `# Errors

The texts of all errors, as a test provokes them on Linux. A text says first what is there or what
is missing, and then what to do. It has one line, which is wrapped here, and at most ${maxErrorTextLength} characters.
\`error.details\` lists the places that were looked at. In programs, use \`error.code\`: texts may
change. [TROUBLESHOOTING.md](../TROUBLESHOOTING.md) says more about each code.

A chain of credentials goes on with its next credential, or stops.

| code | class | in a chain |
| --- | --- | --- |
${rows.join('\n')}

\`StoreError\` comes from \`SharedTokenCache\` and from the plugin for msal-node, which are in no chain.
An \`AbortError\` has no code: the caller's \`abortSignal\` fired.

${sections.join('\n\n')}
`;
}

(missing ? test.serial.skip : test.serial)('docs/errors.md has the text of each case', t => {
	if (provoked.size < errorCases.length) {
		t.pass('Some cases are impossible here, or failed already.');
		return;
	}

	const made = markdown();
	if (process.env['UPDATE_ERRORS_PAGE']) {
		writeFileSync(page, made);
		t.pass();
		return;
	}

	t.is(readFileSync(page, 'utf8'), made, 'write the page anew: UPDATE_ERRORS_PAGE=1 npm test -- test/conformance/errors-page.test.ts');
});
