/** Names of the platform, as addresses may hold them. */

const PRIMITIVE_ID = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/** Whether it can be a primitive's id; anything else is not even asked for. */
export function isPrimitiveId(id: string): boolean {
  return id.length <= 40 && PRIMITIVE_ID.test(id);
}
