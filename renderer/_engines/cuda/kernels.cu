// The rasteriser's inner loops as GPU kernels. `renderer.py` fills a `Job` and launches them in the order
// in which they stand here. `device.py` says how many THREADS a block has, and how many
// FACES_AT_ONCE it looks through.
//
// Convention:
//     As in `raster/kernels.py`, whose arithmetic they follow step by step: points of the image are
//     counted in samples, whole numbers are the samples' centres, and coordinates are rounded to
//     2^-16 of a sample, so that edge functions are exact in double precision. Compiled without
//     fused multiply-adds, which would round the two sides of a shared edge differently.

typedef unsigned long long Bits;

// A projected vertex. Its cell is the column (low half) and the row (high half) of the next sample
// to the right and below.
struct alignas(16) Corner {
    float u, v, inverse_z;
    unsigned cell;
};

// What a launch works on. Every member takes 8 bytes; `device.py` reads their names and order
// from here.
// N crops of H x W pixels with P = 1 + K places for objects and L lights; see `raster/kernels.py` for
// the arrays of meshes and scenes.
struct Job {
    const float *vertices;  // (3, V)
    const float *coordinates;  // (V, 2)
    const Bits *looks;  // (S), see `pack_looks`
    const unsigned *faces;  // (F, 3)
    const float *sides;  // (F)
    const int *details;  // (F)
    const int *first_looks;  // (F)
    const long long *vertex_range;  // (M, 2)
    const long long *face_range;  // (M, 2)
    const long long *first_look;  // (M)
    const unsigned char *culls;  // (M)
    const double *centres;  // (M, 3)
    const double *half_sizes;  // (M, 3)
    const unsigned char *texels;  // (T, 3)
    const long long *textures;  // (M, 3)
    const long long *swapped;  // (pictures, 3)
    const double *aspects;  // (pictures)

    const int *mesh;  // (N, P), below 0 where there is none
    const double *rotation;  // (N, P, 3, 3)
    const double *camera_matrix;  // (N, 3, 3)
    const float *light_color;  // (N, L, 3)
    const float *ambient_color;  // (N, 3)
    const float *gain;  // (N, P, 3)
    const double *specular;  // (N, P)
    const double *shininess;  // (N, P)
    const int *texture;  // (N, P)
    const double *texture_period;  // (N, P)
    const float *lights;  // (N, P, L, 3), directions to the lights in each object's own frame
    const long long *starts;  // (N, P), each object's first corner

    const float *cameras;  // (N, P, 12), rows of u x z, v x z and z, then the centre's own
    Corner *corners;
    Bits *keys;  // (N, fineness H, fineness W), what is nearest at each sample, 0 where nothing is
    Corner *fine_corners;  // the same of the finer samples that colours are taken from
    Bits *fine_keys;

    unsigned char *rgb;  // (N, H, W, 3)
    float *depth;  // (N, H, W)
    float *object_depth;  // (N, H, W)
    unsigned char *mask;  // (N, H, W)
    unsigned char *mask_visib;  // (N, H, W)
    unsigned char *others_mask;  // (N, K, H, W), zero on entry
    unsigned char *others_mask_visib;  // (N, K, H, W)
    float *normals;  // (N, H, W, 3), or null
    float *object_coordinates;  // (N, H, W, 3), or null

    long long crops;
    long long places;
    long long light_count;
    long long height;
    long long width;
    long long vertex_count;  // V
    long long face_bits;  // of a key, enough to count the faces of the largest mesh
    long long fineness;  // of `corners` and `keys` when drawn, of the finer ones when shaded
    long long first_place;  // places from this one on are drawn,
    long long drawn_places;  // so many of each crop,
    long long parts;  // each by so many blocks
};

// A key is greater the nearer the surface is: 1/z comes first, then, where two are equal, the lower
// place and the lower face win.
__device__ Bits key_of(const Job &job, float inverse_z, unsigned place, unsigned face) {
    unsigned order = ~(place << job.face_bits | face);
    return static_cast<Bits>(__float_as_uint(inverse_z)) << 32 | order;
}

__device__ float inverse_z_of(Bits key) {
    return __uint_as_float(static_cast<unsigned>(key >> 32));
}

__device__ unsigned place_of(const Job &job, Bits key) {
    return ~static_cast<unsigned>(key) >> job.face_bits;
}

// Counted from the mesh's first face.
__device__ unsigned face_of(const Job &job, Bits key) {
    return ~static_cast<unsigned>(key) & ((1u << job.face_bits) - 1u);
}

// An object of a crop, as the block of threads sees it that draws a part of it.
struct Instance {
    long long crop, row;
    int place, mesh, part;
};

__device__ Instance instance_of_block(const Job &job) {
    long long drawn = blockIdx.x / job.parts;
    Instance it;
    it.part = static_cast<int>(blockIdx.x % job.parts);
    it.crop = drawn / job.drawn_places;
    it.place = static_cast<int>(job.first_place + drawn % job.drawn_places);
    it.row = it.crop * job.places + it.place;
    it.mesh = job.mesh[it.row];
    return it;
}

// Adding 768 and taking it away again rounds a float of up to 256 to a multiple of 2^-14.
__device__ float snapped(float x) {
    const float snap = 768.0f;
    return (x + snap) - snap;
}

extern "C" __global__ void __launch_bounds__(THREADS)
project_vertices(const __grid_constant__ Job job) {
    Instance it = instance_of_block(job);
    if (it.mesh < 0) return;
    long long first = job.vertex_range[2 * it.mesh], last = job.vertex_range[2 * it.mesh + 1];
    const float *camera = job.cameras + 12 * it.row;
    const float *xs = job.vertices + first;
    const float *ys = xs + job.vertex_count, *zs = ys + job.vertex_count;
    Corner *corners = job.corners + job.starts[it.row];
    long long step = static_cast<long long>(blockDim.x) * job.parts;
    float height = job.fineness * job.height, width = job.fineness * job.width;
    for (long long i = it.part * blockDim.x + threadIdx.x; i < last - first; i += step) {
        float x = xs[i], y = ys[i], z = zs[i];
        float inverse = 1.0f / (camera[6] * x + camera[7] * y + camera[8] * z + camera[11]);
        float u = (camera[0] * x + camera[1] * y + camera[2] * z) * inverse;
        float v = (camera[3] * x + camera[4] * y + camera[5] * z) * inverse;
        u = snapped(u) + camera[9];
        v = snapped(v) + camera[10];
        unsigned column = static_cast<unsigned>(fminf(fmaxf(ceilf(u), 0.0f), width));
        unsigned row = static_cast<unsigned>(fminf(fmaxf(ceilf(v), 0.0f), height));
        corners[i] = Corner{u, v, inverse, column | row << 16};
    }
}

// Of a triangle in the image, above 0 where it winds clockwise as seen.
__device__ double twice_area(const Corner &a, const Corner &b, const Corner &c) {
    double bx = b.u - a.u, by = b.v - a.v, cx = c.u - a.u, cy = c.v - a.v;
    return bx * cy - by * cx;
}

// A face whose corners share a column or a row of cells holds no sample, nor does one outside.
__device__ bool lies_between_samples(unsigned a, unsigned b, unsigned c) {
    unsigned differ = (a ^ b) | (a ^ c);
    return (differ & 0xFFFFu) == 0 || (differ & 0xFFFF0000u) == 0;
}

// The samples that a face may hold, the last ones not included.
struct Box {
    int top, left, bottom, right;

    __device__ Box(const Corner &a, const Corner &b, const Corner &c) {
        int au = a.cell & 0xFFFF, bu = b.cell & 0xFFFF, cu = c.cell & 0xFFFF;
        int av = a.cell >> 16, bv = b.cell >> 16, cv = c.cell >> 16;
        top = min(av, min(bv, cv));
        left = min(au, min(bu, cu));
        bottom = max(av, max(bv, cv));
        right = max(au, max(bu, cu));
    }
};

// A side of a triangle: at least 0 on what is the triangle's.
struct Edge {
    double x, y, constant;

    __device__ Edge(double from_x, double from_y, double to_x, double to_y) {
        // Less than any such function that is not 0.
        const double tiny = 1.0 / (1ll << 33);
        x = from_y - to_y;
        y = to_x - from_x;
        constant = from_x * to_y - from_y * to_x;
        // The top-left rule: a sample exactly on an edge belongs to one of its two triangles.
        if (!(x > 0.0 || (x == 0.0 && y > 0.0))) constant -= tiny;
    }

    __device__ double at(int down, int across) const { return x * across + (y * down + constant); }
};

// A face, ready to be drawn.
struct Triangle {
    Edge opposite_a, opposite_b, opposite_c;
    double a_inverse, b_inverse, c_inverse;

    // The corners, in samples from the box's first, wind clockwise as seen.
    __device__ Triangle(const Corner &a, const Corner &b, const Corner &c, double left, double top)
        : opposite_a(b.u - left, b.v - top, c.u - left, c.v - top),
          opposite_b(c.u - left, c.v - top, a.u - left, a.v - top),
          opposite_c(a.u - left, a.v - top, b.u - left, b.v - top) {
        double per_whole = 1.0 / twice_area(a, b, c);
        a_inverse = a.inverse_z * per_whole;
        b_inverse = b.inverse_z * per_whole;
        c_inverse = c.inverse_z * per_whole;
    }

    // 1/z at a sample so far from the box's first, 0 beside the triangle.
    __device__ float inverse_z(int down, int across) const {
        double wa = opposite_a.at(down, across), wb = opposite_b.at(down, across);
        double wc = opposite_c.at(down, across);
        if (wa < 0.0 || wb < 0.0 || wc < 0.0) return 0.0f;
        return static_cast<float>(wa * a_inverse + wb * b_inverse + wc * c_inverse);
    }
};

// What an instance is drawn on.
struct Canvas {
    Bits *keys;
    unsigned char *mask;  // its whole silhouette, or null
    int width;
    unsigned place;

    __device__ Canvas(const Job &job, const Instance &it) {
        long long samples = job.fineness * job.height * job.fineness * job.width;
        keys = job.keys + it.crop * samples;
        width = static_cast<int>(job.fineness * job.width);
        place = it.place;
        mask = nullptr;
        if (it.place > 0 && job.fineness == 1)
            mask = job.others_mask + (it.crop * (job.places - 1) + it.place - 1) * samples;
    }

    __device__ void draw(const Job &job, unsigned face, int row, int column,
                         float inverse_z) const {
        unsigned sample = static_cast<unsigned>(row) * width + column;
        if (mask) mask[sample] = 1;
        Bits key = key_of(job, inverse_z, place, face);
        // What is read here may be out of date, which costs no more than a needless comparison.
        if (key > keys[sample]) atomicMax(keys + sample, key);
    }
};

// The corners of an instance's faces.
struct Faces {
    const unsigned *faces;
    const Corner *corners;

    __device__ const Corner &corner(unsigned face, int number) const {
        return corners[faces[3ll * face + number]];
    }
};

// Draw the samples of a face that are this thread's: those of every `rows`th row from `row` on and
// of every `columns`th column.
__device__ void draw_face(const Job &job, const Canvas &canvas, const Faces &faces, unsigned face,
                          int row, int rows, int column, int columns) {
    Corner a = faces.corner(face, 0), b = faces.corner(face, 1), c = faces.corner(face, 2);
    Box box(a, b, c);
    if (twice_area(a, b, c) < 0.0) {
        Corner other = b;
        b = c;
        c = other;
    }
    Triangle triangle(a, b, c, box.left, box.top);
    for (int i = row; i < box.bottom - box.top; i += rows)
        for (int j = column; j < box.right - box.left; j += columns) {
            float inverse_z = triangle.inverse_z(i, j);
            if (inverse_z > 0.0f)
                canvas.draw(job, face, box.top + i, box.left + j, inverse_z);
        }
}

// A face whose box holds more samples than these is drawn by all threads of a block.
constexpr int MANY_SAMPLES = 128;

// Most faces are turned away or fall between samples: the others are listed first, so that no
// thread idles while its neighbours draw.
extern "C" __global__ void __launch_bounds__(THREADS)
draw_faces(const __grid_constant__ Job job) {
    __shared__ unsigned kept[FACES_AT_ONCE];  // small faces from the front, large ones from the end
    __shared__ unsigned small_count, large_count;
    Instance it = instance_of_block(job);
    if (it.mesh < 0) return;
    long long first = job.face_range[2 * it.mesh], last = job.face_range[2 * it.mesh + 1];
    Faces faces{job.faces + 3 * first, job.corners + job.starts[it.row]};
    Canvas canvas(job, it);
    bool culls = job.culls[it.mesh];
    long long step = FACES_AT_ONCE * job.parts;
    for (long long start = FACES_AT_ONCE * it.part; start < last - first; start += step) {
        if (threadIdx.x == 0) small_count = large_count = 0;
        __syncthreads();
        for (unsigned i = threadIdx.x; i < FACES_AT_ONCE && start + i < last - first;
             i += blockDim.x) {
            unsigned face = start + i;
            const Corner &a = faces.corner(face, 0), &b = faces.corner(face, 1);
            const Corner &c = faces.corner(face, 2);
            if (lies_between_samples(a.cell, b.cell, c.cell)) continue;
            // The image's y points down, so that what winds counter-clockwise has a negative area.
            double area = twice_area(a, b, c);
            if (!(area < 0.0 || (area > 0.0 && !culls))) continue;
            Box box(a, b, c);
            if ((box.bottom - box.top) * (box.right - box.left) <= MANY_SAMPLES)
                kept[atomicAdd(&small_count, 1u)] = face;
            else
                kept[FACES_AT_ONCE - 1 - atomicAdd(&large_count, 1u)] = face;
        }
        __syncthreads();
        for (unsigned i = threadIdx.x; i < small_count; i += blockDim.x)
            draw_face(job, canvas, faces, kept[i], 0, 1, 0, 1);
        for (unsigned i = 0; i < large_count; ++i)
            draw_face(job, canvas, faces, kept[FACES_AT_ONCE - 1 - i], threadIdx.x / 32,
                      blockDim.x / 32, threadIdx.x % 32, 32);
        __syncthreads();
    }
}

// Keep what the target looks like alone, before others are drawn in front of it.
extern "C" __global__ void __launch_bounds__(THREADS)
keep_target(const __grid_constant__ Job job) {
    unsigned pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= job.crops * job.height * job.width) return;
    Bits key = job.keys[pixel];
    job.object_depth[pixel] = key ? 1.0f / inverse_z_of(key) : 0.0f;
    job.mask[pixel] = key != 0;
}

struct Vector {
    float x, y, z;
};

__device__ float dot(const Vector &a, const Vector &b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

__device__ float length(const Vector &a) { return sqrtf(dot(a, a)); }

// Three rows of an array, and what each counts for.
struct Mixture {
    long long a, b, c;
    float wa, wb, wc;

    __device__ float of(const float *values, int stride, int channel) const {
        return wa * values[a * stride + channel] + wb * values[b * stride + channel] +
               wc * values[c * stride + channel];
    }
};

// Normals and colours around a point of a surface, and what each counts for.
struct Looks {
    Bits a, b, c;
    float wa, wb, wc;

    __device__ float of(int first, unsigned mask) const {
        return wa * static_cast<float>(static_cast<unsigned>(a >> first) & mask) +
               wb * static_cast<float>(static_cast<unsigned>(b >> first) & mask) +
               wc * static_cast<float>(static_cast<unsigned>(c >> first) & mask);
    }

    __device__ Vector color() const { return Vector{of(0, 255), of(8, 255), of(16, 255)}; }

    // The smooth normal, unit, to the side that is given as 1 or -1; 0 where there is none.
    __device__ Vector normal(float side) const {
        float zero = 4095.0f * (wa + wb + wc);
        Vector n{of(24, 8191) - zero, of(37, 8191) - zero, of(50, 8191) - zero};
        float size = length(n), scale = size > 1e-3f ? side / size : 0.0f;
        return Vector{scale * n.x, scale * n.y, scale * n.z};
    }
};

// A point of a surface.
struct Point {
    int place, mesh;
    Mixture vertices;
    Looks looks;
    Vector normal;  // in the model's frame, towards the camera
};

// The looks around a point of a face, whose corners are given, counted from the mesh's first: those
// of its corners, or of the lattice that a face of a level of detail has.
__device__ Looks looks_around(const Job &job, const Mixture &corners, long long face, int mesh) {
    const Bits *looks = job.looks + job.first_look[mesh];
    int detail = job.details[face];
    if (detail == 0)
        return Looks{looks[corners.a], looks[corners.b], looks[corners.c], corners.wa, corners.wb,
                     corners.wc};
    float i = corners.wb * static_cast<float>(detail), j = corners.wc * static_cast<float>(detail);
    int column = min(max(static_cast<int>(i), 0), detail - 1);
    int row = min(max(static_cast<int>(j), 0), detail - 1 - column);
    i -= static_cast<float>(column);
    j -= static_cast<float>(row);
    looks += job.first_looks[face] + row * (2 * detail + 3 - row) / 2 + column;
    const Bits *above = looks + detail + 1 - row;
    if (i + j <= 1.0f || column + row == detail - 1)
        return Looks{looks[0], looks[1], above[0], 1.0f - i - j, i, j};
    return Looks{above[1], above[0], looks[1], i + j - 1.0f, 1.0f - i, 1.0f - j};
}

// What is seen at a point of the image, x and y in the samples of `corners`.
__device__ Point point_at(const Job &job, long long crop, Bits key, const Corner *corners, double x,
                          double y) {
    Point point;
    point.place = place_of(job, key);
    long long row = crop * job.places + point.place;
    point.mesh = job.mesh[row];
    long long face = job.face_range[2 * point.mesh] + face_of(job, key);
    unsigned i = job.faces[3 * face], j = job.faces[3 * face + 1], k = job.faces[3 * face + 2];
    corners += job.starts[row];
    Corner a = corners[i], b = corners[j], c = corners[k];
    double ax = a.u - x, ay = a.v - y, bx = b.u - x, by = b.v - y, cx = c.u - x, cy = c.v - y;
    double wa = bx * cy - by * cx, wb = cx * ay - cy * ax, wc = ax * by - ay * bx;
    // A face seen from behind is lit as if it had been built the other way round.
    float side = wa + wb + wc < 0.0 ? job.sides[face] : -job.sides[face];
    wa *= a.inverse_z;
    wb *= b.inverse_z;
    wc *= c.inverse_z;
    double whole = 1.0 / (wa + wb + wc);
    Mixture own{i, j, k, static_cast<float>(wa * whole), static_cast<float>(wb * whole),
                static_cast<float>(wc * whole)};
    point.looks = looks_around(job, own, face, point.mesh);
    point.normal = point.looks.normal(side);
    long long first = job.vertex_range[2 * point.mesh];
    point.vertices = Mixture{first + i, first + j, first + k, own.wa, own.wb, own.wc};
    return point;
}

// Where on a picture, and which: (0, 0) is its bottom-left corner.
struct Look {
    const long long *picture;  // first texel, height and width
    double across, up;
};

// A point of a swapped-in picture: looked at along the axis that the surface faces most.
__device__ Look swapped_in(const Job &job, const Point &point, long long row) {
    const Vector &normal = point.normal;
    float nx = fabsf(normal.x), ny = fabsf(normal.y), nz = fabsf(normal.z);
    int across = 0, up = 1;
    if (nx >= ny && nx >= nz) {
        across = 1;
        up = 2;
    } else if (ny >= nz) {
        up = 2;
    }
    const double *centre = job.centres + 3 * point.mesh;
    double period = job.texture_period[row];
    float u = point.vertices.of(job.vertices + across * job.vertex_count, 1, 0);
    float v = point.vertices.of(job.vertices + up * job.vertex_count, 1, 0);
    return Look{job.swapped + 3 * job.texture[row], (u + centre[across]) / period,
                (v + centre[up]) / (period * job.aspects[job.texture[row]])};
}

// Bilinear, repeating.
__device__ Vector sampled(const Job &job, const Look &look) {
    long long first = look.picture[0];
    int height = static_cast<int>(look.picture[1]), width = static_cast<int>(look.picture[2]);
    double x = (look.across - floor(look.across)) * width - 0.5;
    double y = (1.0 - (look.up - floor(look.up))) * height - 0.5;
    int left = static_cast<int>(floor(x)), top = static_cast<int>(floor(y));
    float fx = static_cast<float>(x - left), fy = static_cast<float>(y - top);
    int x0 = (left + width) % width, x1 = (left + 1) % width;
    int y0 = (top + height) % height, y1 = (top + 1) % height;
    const unsigned char *texels = job.texels;
    const unsigned char *upper = texels + 3 * (first + static_cast<long long>(y0) * width);
    const unsigned char *lower = texels + 3 * (first + static_cast<long long>(y1) * width);
    float color[3];
    for (int channel = 0; channel < 3; ++channel) {
        float above = (1.0f - fx) * upper[3 * x0 + channel] + fx * upper[3 * x1 + channel];
        float below = (1.0f - fx) * lower[3 * x0 + channel] + fx * lower[3 * x1 + channel];
        color[channel] = (1.0f - fy) * above + fy * below;
    }
    return Vector{color[0], color[1], color[2]};
}

// Unit, in the model's frame, from what is seen at a point of the image, in pixels.
__device__ Vector towards_camera(const Job &job, long long crop, long long row, double x,
                                 double y) {
    const double *k = job.camera_matrix + 9 * crop, *r = job.rotation + 9 * row;
    double down = (y - k[5]) / k[4];
    double across = (x - k[2] - k[1] * down) / k[0];
    double scale = -1.0 / sqrt(across * across + down * down + 1.0);
    return Vector{static_cast<float>(scale * (across * r[0] + down * r[3] + r[6])),
                  static_cast<float>(scale * (across * r[1] + down * r[4] + r[7])),
                  static_cast<float>(scale * (across * r[2] + down * r[5] + r[8]))};
}

// Blinn's: how much of a light is mirrored towards the camera.
__device__ float highlight(const Vector &normal, const Vector &light, const Vector &view,
                           float shininess) {
    Vector half{light.x + view.x, light.y + view.y, light.z + view.z};
    float size = length(half);
    if (size == 0.0f) return 0.0f;
    return powf(fmaxf(0.0f, dot(normal, half) / size), shininess);
}

// The colour of a sample, 0 to 255, as `Surfaces` has it.
__device__ Vector shaded(const Job &job, long long crop, Bits key, const Corner *corners, double x,
                         double y, int fineness) {
    Point point = point_at(job, crop, key, corners, x, y);
    long long row = crop * job.places + point.place;
    Vector normal = point.normal;
    const float *ambient = job.ambient_color + 3 * crop, *gain = job.gain + 3 * row;
    Vector light{ambient[0], ambient[1], ambient[2]}, mirrored{0.0f, 0.0f, 0.0f};
    float specular = static_cast<float>(job.specular[row]);
    Vector view{0.0f, 0.0f, 0.0f};
    if (specular > 0.0f)
        view = towards_camera(job, crop, row, (x + 0.5) / fineness, (y + 0.5) / fineness);
    for (long long number = 0; number < job.light_count; ++number) {
        const float *direction = job.lights + 3 * (row * job.light_count + number);
        const float *color = job.light_color + 3 * (crop * job.light_count + number);
        Vector towards{direction[0], direction[1], direction[2]};
        float cosine = dot(normal, towards);
        if (!(cosine > 0.0f)) continue;
        light.x += color[0] * cosine;
        light.y += color[1] * cosine;
        light.z += color[2] * cosine;
        if (specular > 0.0f) {
            float shininess = static_cast<float>(job.shininess[row]);
            float strength = 255.0f * specular * highlight(normal, towards, view, shininess);
            mirrored.x += color[0] * strength;
            mirrored.y += color[1] * strength;
            mirrored.z += color[2] * strength;
        }
    }
    Vector surface;
    if (job.texture[row] >= 0) {
        surface = sampled(job, swapped_in(job, point, row));
    } else if (job.textures[3 * point.mesh] >= 0) {
        const float *uv = job.coordinates;
        surface = sampled(job, Look{job.textures + 3 * point.mesh, point.vertices.of(uv, 2, 0),
                                    point.vertices.of(uv, 2, 1)});
    } else {
        surface = point.looks.color();
    }
    return Vector{fminf(255.0f, surface.x * light.x * gain[0] + mirrored.x),
                  fminf(255.0f, surface.y * light.y * gain[1] + mirrored.y),
                  fminf(255.0f, surface.z * light.z * gain[2] + mirrored.z)};
}

// Write a pixel's colour: the mean over those of its finer samples that hit an object. Where there
// are none, it is the colour at its centre.
__device__ void write_color(const Job &job, long long crop, int row, int column, Bits key,
                            unsigned char *rgb) {
    Vector total{0.0f, 0.0f, 0.0f};
    int count = 0, fineness = static_cast<int>(job.fineness);
    long long fine_width = fineness * job.width, fine_height = fineness * job.height;
    for (int number = 0; fineness > 1 && number < fineness * fineness; ++number) {
        int y = fineness * row + number / fineness, x = fineness * column + number % fineness;
        Bits fine = job.fine_keys[(crop * fine_height + y) * fine_width + x];
        if (fine == 0) continue;
        Vector color = shaded(job, crop, fine, job.fine_corners, x, y, fineness);
        total = Vector{total.x + color.x, total.y + color.y, total.z + color.z};
        ++count;
    }
    if (count == 0) {
        total = shaded(job, crop, key, job.corners, column, row, 1);
        count = 1;
    }
    rgb[0] = static_cast<unsigned char>(total.x / count + 0.5f);
    rgb[1] = static_cast<unsigned char>(total.y / count + 0.5f);
    rgb[2] = static_cast<unsigned char>(total.z / count + 0.5f);
}

// Write the target's normal and object coordinates at a pixel's centre, 0 where it is not seen.
__device__ void write_surface(const Job &job, long long crop, int row, int column, Bits key,
                              float *normals, float *coordinates) {
    for (int axis = 0; axis < 3; ++axis) normals[axis] = coordinates[axis] = 0.0f;
    if (key == 0 || place_of(job, key) != 0) return;
    Point point = point_at(job, crop, key, job.corners, column, row);
    Vector n = point.normal;
    const double *r = job.rotation + 9 * crop * job.places;
    for (int axis = 0; axis < 3; ++axis) {
        normals[axis] = static_cast<float>(r[3 * axis] * n.x + r[3 * axis + 1] * n.y +
                                           r[3 * axis + 2] * n.z);
        double half_size = job.half_sizes[3 * point.mesh + axis];
        if (!(half_size > 0.0)) continue;
        double off = point.vertices.of(job.vertices + axis * job.vertex_count, 1, 0);
        coordinates[axis] =
            static_cast<float>(fmin(1.0, fmax(0.0, 0.5 + 0.5 * off / half_size)));
    }
}

// Write everything that is seen at a pixel.
extern "C" __global__ void __launch_bounds__(THREADS)
shade_pixels(const __grid_constant__ Job job) {
    unsigned pixel = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned width = static_cast<unsigned>(job.width);
    unsigned pixels = width * static_cast<unsigned>(job.height);
    if (pixel >= job.crops * pixels) return;
    unsigned crop = pixel / pixels, inside = pixel % pixels;
    int row = static_cast<int>(inside / width), column = static_cast<int>(inside % width);
    Bits key = job.keys[pixel];
    int place = key ? static_cast<int>(place_of(job, key)) : -1;
    job.depth[pixel] = key ? 1.0f / inverse_z_of(key) : 0.0f;
    job.mask_visib[pixel] = place == 0;
    for (int other = 1; other < job.places; ++other)
        job.others_mask_visib[(crop * (job.places - 1) + other - 1) * pixels + inside] =
            place == other;
    unsigned char *rgb = job.rgb + 3ll * pixel;
    rgb[0] = rgb[1] = rgb[2] = 0;
    if (key) write_color(job, crop, row, column, key, rgb);
    if (job.normals)
        write_surface(job, crop, row, column, key, job.normals + 3ll * pixel,
                      job.object_coordinates + 3ll * pixel);
}
