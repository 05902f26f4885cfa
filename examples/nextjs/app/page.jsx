export default function Page() {
  return (
    <form action="/upload" method="post" encType="multipart/form-data">
      <label>
        Picture <input type="file" name="picture" accept="image/*" required />
      </label>
      <button>Upload</button>
    </form>
  )
}
