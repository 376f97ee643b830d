/** The lint check of C++ includes. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {StepFailure} from '../../scripts/lib/steps.mjs';
import {checkIncludes} from '../../scripts/quality/include-rules.mjs';

/** Writes a tree of C++ files and returns what the check reports, sorted. */
function findingsOf(t: ExecutionContext, files: Record<string, string>): string[] {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stc-includes-'));
	t.teardown(() => {
		fs.rmSync(folder, {recursive: true, force: true});
	});
	for (const [name, text] of Object.entries(files)) {
		fs.mkdirSync(path.dirname(path.join(folder, name)), {recursive: true});
		fs.writeFileSync(path.join(folder, name), text);
	}

	try {
		checkIncludes(folder);
	} catch (error) {
		t.true(error instanceof StepFailure, String(error));
		return (error as StepFailure).log.split('\n').toSorted();
	}

	return [];
}

const status = {'base/status.h': '#include <string>\n'};

test('downward includes, and those within a folder, pass', t => {
	t.deepEqual(findingsOf(t, {
		...status,
		'base/status.cc': '#include "base/status.h"\n',
		'addon/addon.cc': '#include <napi.h>\n\n#include "base/status.h"\n#include "stores/store.h"\n',
		'stores/store.h': '#include "base/status.h"\n',
	}), []);
});

test('an upward include is reported', t => {
	t.deepEqual(findingsOf(t, {...status, 'io/file.h': '', 'base/wrong.cc': '#include "base/status.h"\n#include "io/file.h"\n'}), [
		'base/wrong.cc:2: upward include: base/ is below "io/file.h"',
	]);
});

test('a circle is reported once, also one within a folder', t => {
	t.deepEqual(findingsOf(t, {
		'json/a.h': '#include "json/b.h"\n',
		'json/b.h': '#include "json/c.h"\n',
		'json/c.h': '#include "json/a.h"\n',
		'json/user.cc': '#include "json/b.h"\n',
	}), ['json/a.h: circular include: json/a.h -> json/b.h -> json/c.h -> json/a.h']);
});

test('a header of Node outside addon/ is reported', t => {
	t.deepEqual(findingsOf(t, {'cache/scanner.cc': '#include <vector>\n#include <napi.h>\n'}), [
		'cache/scanner.cc:2: only addon/ includes <napi.h>',
	]);
});

test('an include that is not a path from native/, and a folder that is no layer, are reported', t => {
	t.deepEqual(findingsOf(t, {...status, 'base/status.cc': '#include "status.h"\n', 'extra/more.cc': '#include "base/status.h"\n'}), [
		'base/status.cc:1: "status.h" is not the path of a file from native/',
		'extra/more.cc:1: extra is not one of the layers in scripts/quality/include-rules.mjs',
	]);
});

test('a folder without C++ files fails', t => {
	t.deepEqual(findingsOf(t, {'base/notes.txt': ''}), ['']);
});
