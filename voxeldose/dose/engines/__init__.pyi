from .base import Engine as Engine
from .convolution import Convolution as Convolution
from .local import LocalDeposition as LocalDeposition
from .rays.transport import RayTransport as RayTransport
