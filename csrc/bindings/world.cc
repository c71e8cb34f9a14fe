// Python's face of COMM_WORLD: one object whose attributes are those of the calling thread's own world communicator.
#include <nanobind/nanobind.h>

namespace nb = nanobind;
using namespace nb::literals;

namespace qmpi {
namespace {

thread_local PyObject* world = nullptr;  // the calling thread's communicator, owned; null until it is founded

// Answers before there is a communicator: called with the name asked for.
struct World {
  nb::object first_use;
};

PyObject* get(PyObject* self, PyObject* name) {
  if (world) return PyObject_GetAttr(world, name);
  return PyObject_CallOneArg(nb::inst_ptr<World>(nb::handle(self))->first_use.ptr(), name);
}

int set(PyObject*, PyObject* name, PyObject* value) {
  if (world) return PyObject_SetAttr(world, name, value);
  PyErr_SetString(PyExc_AttributeError, "COMM_WORLD cannot be changed");
  return -1;
}

PyType_Slot slots[] = {{Py_tp_getattro, reinterpret_cast<void*>(get)}, {Py_tp_setattro, reinterpret_cast<void*>(set)}, {0, nullptr}};

}  // namespace

void bind_world(nb::module_& m) {
  // Special methods are looked up on types, not on objects.
  nb::class_<World>(m, "World", nb::type_slots(slots), "Is, for each thread, that thread's world communicator.")
      .def(nb::init<nb::object>(), "first_use"_a)
      .def("__enter__", [](nb::handle self) { return nb::object(self.attr("__enter__")()); })
      .def("__exit__", [](nb::handle self, nb::args arguments) { return nb::object(self.attr("__exit__")(*arguments)); })
      .def("__repr__", [](nb::handle self) { return nb::object(self.attr("__repr__")()); }, nb::sig("def __repr__(self) -> str"));
  m.def("set_world", [](nb::handle communicator) {
    PyObject* previous = world;
    world = communicator.is_none() ? nullptr : communicator.inc_ref().ptr();
    Py_XDECREF(previous);
  }, "communicator"_a.none(), "Says what COMM_WORLD is in the calling thread; None: not founded yet.");
}

}  // namespace qmpi
