/** A map that forgets. */

/** A map that holds at most `maxSize` entries: adding one more removes the oldest. Setting an entry again makes it the newest. */
export class BoundedMap<Key, Value> extends Map<Key, Value> {
	readonly #maxSize: number;

	constructor(maxSize: number) {
		super();
		this.#maxSize = maxSize;
	}

	override set(key: Key, value: Value): this {
		this.delete(key);
		super.set(key, value);
		if (this.size > this.#maxSize) {
			const [oldest] = this.keys();
			this.delete(oldest as Key);
		}

		return this;
	}
}
