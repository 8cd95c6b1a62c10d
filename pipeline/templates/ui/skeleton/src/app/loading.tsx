export default function Loading() {
  return (
    <div className="card loading" role="status">
      <p>Loading…</p>
    </div>
  );
}
