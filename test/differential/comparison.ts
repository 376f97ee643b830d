/**
 * Runs two implementations on the same cases. In a plain case, both must do the same. In the others, each must do what a
 * model predicts, and each difference counts under one named rule.
 */

import process from 'node:process';
import {isDeepStrictEqual} from 'node:util';
import {type Random, randomOf} from './random.js';

export type Outcomes<Outcome> = {peer: Outcome; ours: Outcome};

export type Comparison<Case, Outcome, Rule extends string> = {
	readonly peerName: string;
	/** In the order in which they are tried. */
	readonly rules: readonly Rule[];
	/** Every second case is plain. */
	makeCase(random: Random, isPlain: boolean): Case;
	/** Whether both must do the same in this case, without any rule. */
	isPlain(testCase: Case): boolean;
	/** The peer's outcome with all rules off, ours with all rules on. */
	predict(testCase: Case, isOn: (rule: Rule) => boolean): Outcome;
	/** Runs both on the same cache. */
	ask(testCase: Case): Promise<Outcomes<Outcome>>;
	/** Versions of the compared implementations, by name. */
	versions(): Readonly<Record<string, string>>;
	/** A kind of outcome, for the table. */
	describe(outcome: Outcome): string;
	/** Cases that are smaller by one item. */
	smallerCases(testCase: Case): Iterable<Case>;
	/** The cache's text, to inspect a failing case. */
	cacheText(testCase: Case): string;
	/** Rules by which the caches of plain cases are made comparable, and how many cases each was needed for. */
	normalisers?(): ReadonlyMap<string, number>;
	close(): Promise<void>;
};

/** Number of failing cases that are reduced and printed. */
const maxShown = 5;

/** @returns whether all outcomes follow the rules and every rule is needed. */
export async function compare<Case, Outcome, Rule extends string>(comparison: Comparison<Case, Outcome, Rule>, {count, seed}: {count: number; seed: number}): Promise<boolean> {
	const tally = new Tally(comparison);
	for (let index = 0; index < count && tally.failed < maxShown; index++) {
		const testCase = comparison.makeCase(randomOf(seed + index), index % 2 === 0);
		// Sequential: the peer is one process, and our side has one home directory at a time.

		const outcomes = await comparison.ask(testCase);
		if (!tally.add(testCase, outcomes)) {
			await explainFailure(comparison, testCase, seed + index);
		}

		if (process.stderr.isTTY && index % 100 === 0) {
			process.stderr.write(`\r${index} of ${count} \r`);
		}
	}

	return tally.print();
}

/** Returns the cases in which one side differs from the model. */
export async function disagreements<Case, Outcome, Rule extends string>(
	comparison: Comparison<Case, Outcome, Rule>,
	{count, seed}: {count: number; seed: number},
): Promise<Array<{testCase: Case; outcomes: Outcomes<Outcome>}>> {
	const found: Array<{testCase: Case; outcomes: Outcomes<Outcome>}> = [];
	for (let index = 0; index < count; index++) {
		const testCase = comparison.makeCase(randomOf(seed + index), index % 2 === 0);

		const outcomes = await comparison.ask(testCase);
		if (!isRight(comparison, testCase, outcomes)) {
			found.push({testCase, outcomes});
		}
	}

	return found;
}

/** Whether both sides do what the rules say; in a plain case, the same. */
function isRight<Case, Outcome, Rule extends string>(comparison: Comparison<Case, Outcome, Rule>, testCase: Case, {peer, ours}: Outcomes<Outcome>): boolean {
	if (comparison.isPlain(testCase)) {
		return isDeepStrictEqual(peer, ours);
	}

	const expected = predictions(comparison, testCase);
	return isDeepStrictEqual(peer, expected.peer) && isDeepStrictEqual(ours, expected.ours);
}

function predictions<Case, Outcome, Rule extends string>({predict}: Comparison<Case, Outcome, Rule>, testCase: Case): Outcomes<Outcome> {
	return {peer: predict(testCase, () => false), ours: predict(testCase, () => true)};
}

async function explainFailure<Case, Outcome, Rule extends string>(comparison: Comparison<Case, Outcome, Rule>, testCase: Case, caseSeed: number): Promise<void> {
	const fails = async (smaller: Case) => !isRight(comparison, smaller, await comparison.ask(smaller));
	// A plain case with less may not be plain.
	const least = comparison.isPlain(testCase) ? testCase : await shrink(testCase, {smallerCases: each => comparison.smallerCases(each), fails});
	const outcomes = await comparison.ask(least);
	console.log(`\nThe case of seed ${caseSeed} is not as the rules say. Shrunk:`);
	console.log(JSON.stringify(least, undefined, 2));
	console.log(`The cache, had it been written at second 0: ${comparison.cacheText(least)}`);
	for (const side of ['peer', 'ours'] as const) {
		const name = side === 'peer' ? comparison.peerName : 'ours';
		console.log(`${name} did        ${JSON.stringify(outcomes[side])}`);
		if (!comparison.isPlain(least)) {
			console.log(`${name} is said to ${JSON.stringify(predictions(comparison, least)[side])}`);
		}
	}
}

/** Reduces a failing case as long as it still fails. */
async function shrink<Case>(failing: Case, {smallerCases, fails}: {smallerCases: (testCase: Case) => Iterable<Case>; fails: (testCase: Case) => Promise<boolean>}): Promise<Case> {
	let least = failing;
	for (let isShrinking = true; isShrinking;) {
		isShrinking = false;
		for (const smaller of smallerCases(least)) {
			// Each attempt starts from the last failing case.

			if (await fails(smaller)) {
				least = smaller;
				isShrinking = true;
				break;
			}
		}
	}

	return least;
}

class Tally<Case, Outcome, Rule extends string> {
	failed = 0;
	readonly #comparison: Comparison<Case, Outcome, Rule>;
	/** Number of cases that need no rule. */
	readonly #same = {plain: 0, other: 0};
	readonly #count = {plain: 0, other: 0};
	readonly #kinds = new Map<string, number>();
	readonly #decided = new Map<Rule, number>();
	/** Number of cases that would fail without the rule. */
	readonly #needed = new Map<Rule, number>();

	constructor(comparison: Comparison<Case, Outcome, Rule>) {
		this.#comparison = comparison;
	}

	/** @returns whether the outcomes are as predicted. */
	add(testCase: Case, outcomes: Outcomes<Outcome>): boolean {
		const sort = this.#comparison.isPlain(testCase) ? 'plain' : 'other';
		this.#count[sort]++;
		if (!isRight(this.#comparison, testCase, outcomes)) {
			this.failed++;
			return false;
		}

		const {peer, ours} = outcomes;
		increment(this.#kinds, `${this.#comparison.describe(peer)} / ${this.#comparison.describe(ours)}`);
		if (isDeepStrictEqual(peer, ours)) {
			this.#same[sort]++;
		} else {
			increment(this.#decided, this.#ruleOf(testCase));
		}

		for (const rule of sort === 'plain' ? [] : this.#comparison.rules) {
			if (!isDeepStrictEqual(ours, this.#comparison.predict(testCase, each => each !== rule))) {
				increment(this.#needed, rule);
			}
		}

		return true;
	}

	/** @returns whether the whole comparison succeeded. */
	print(): boolean {
		const {peerName, rules} = this.#comparison;
		const width = Math.max(...rules.map(name => name.length));
		const number = (value: number) => String(value).padStart(6);
		console.log(`\nOutcomes (${peerName} / ours)`);
		for (const [kind, times] of [...this.#kinds].toSorted(([, a], [, b]) => b - a)) {
			console.log(`${number(times)}  ${kind}`);
		}

		console.log('\nDifferences by rule: cases that count under it; cases that would fail without it');
		for (const rule of rules) {
			console.log(`  ${rule.padEnd(width)} ${number(this.#decided.get(rule) ?? 0)} ${number(this.#needed.get(rule) ?? 0)}`);
		}

		const normalisers = this.#comparison.normalisers?.() ?? new Map<string, number>();
		if (normalisers.size > 0) {
			console.log('\nSpellings in the cache that are not compared; cases that would fail otherwise');
			for (const [name, times] of normalisers) {
				console.log(`  ${name.padEnd(width)} ${number(times)}`);
			}
		}

		const unneeded = [...rules.filter(rule => !this.#needed.has(rule)), ...[...normalisers.keys()].filter(name => normalisers.get(name) === 0)];
		const different = [...this.#decided.values()].reduce((sum, each) => sum + each, 0);
		const {plain, other} = this.#same;
		console.log(`\n${plain + other} of ${this.#count.plain + this.#count.other} cases agree without a rule (${plain} of ${this.#count.plain} plain, ${other} of ${this.#count.other} others), ${different} differ by a rule, ${this.failed} differ by none`);
		if (unneeded.length > 0) {
			console.log(`No case needs ${unneeded.join(', ')}: run more cases, or remove the rule.`);
		}

		return this.failed === 0 && unneeded.length === 0;
	}

	/** The rule under which a difference counts: the last one that is needed to get from the peer's outcome to ours. */
	#ruleOf(testCase: Case): Rule {
		const {predict, rules} = this.#comparison;
		const on = new Set<Rule>();
		let outcome = predict(testCase, () => false);
		let last: Rule | undefined;
		for (const rule of rules) {
			on.add(rule);
			const next = predict(testCase, each => on.has(each));
			if (!isDeepStrictEqual(next, outcome)) {
				last = rule;
			}

			outcome = next;
		}

		return last!;
	}
}

function increment<Key>(counts: Map<Key, number>, key: Key): void {
	counts.set(key, (counts.get(key) ?? 0) + 1);
}
