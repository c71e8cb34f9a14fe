// The compiled module qmpi._core. One binding file per header of the core; each only refuses bad input, releases the GIL and calls.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "runtime/philox.h"
#include "store/error.h"

namespace nb = nanobind;

namespace qmpi {
void bind_kernels(nb::module_& m);
void bind_gates(nb::module_& m);
void bind_handles(nb::module_& m);
void bind_session(nb::module_& m);
void bind_world(nb::module_& m);
void bind_vector(nb::module_& m);
}  // namespace qmpi

NB_MODULE(_core, m) {
  m.doc() = "The C++ core of qmpi: kernels, gate table, store, mailboxes and sessions.";
  nb::set_leak_warnings(false);  // a process's session lives until the process ends
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const qmpi::Error& error) {
      if (PyErr_Occurred()) return;  // interrupted: what the signal handler raised
      try {
        const nb::object errors = nb::module_::import_("qmpi.errors"), builtins = nb::module_::import_("builtins");
        const nb::object kind = nb::getattr(nb::hasattr(errors, error.kind()) ? errors : builtins, error.kind());
        // Made here and now, while the frames are there in which it looks for its source line.
        PyErr_SetObject(kind.ptr(), kind(nb::str(error.what())).ptr());
      } catch (nb::python_error& other) {  // an interrupt from another thread, just now
        other.restore();
      }
    }
  });
  m.attr("VERSION") = QMPI_VERSION;
  qmpi::bind_kernels(m);
  qmpi::bind_gates(m);
  qmpi::bind_session(m);
  qmpi::bind_handles(m);
  qmpi::bind_world(m);
  qmpi::bind_vector(m);
  m.def(
      "uniform_draw",
      [](std::uint64_t seed, bool protocol, std::uint32_t rank, std::uint64_t number, std::uint64_t position) {
        return qmpi::uniform_draw(seed, protocol ? qmpi::Stream::protocol : qmpi::Stream::user, rank, number, position);
      },
      nb::arg("seed"), nb::arg("protocol"), nb::arg("rank"), nb::arg("number"), nb::arg("position"));
}
